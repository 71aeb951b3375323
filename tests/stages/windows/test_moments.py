"""Times are read exactly, or refused with a sentence that helps."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.errors import BadEvent
from headrace.stages.windows.event_time import read_timestamps, timestamp_text

NOON = 1483272000_000000
ZONES = st.timezones() | st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))])


@given(st.datetimes(datetime(1000, 1, 2), datetime(8999, 12, 30), timezones=ZONES))  # noqa: DTZ001 - bounds have none
def test_text_and_datetimes_are_the_same_to_the_microsecond(time: datetime) -> None:
    moment = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert read_timestamps([time]).each() == [moment]
    assert read_timestamps([time.isoformat()]).each() == [moment]
    assert read_timestamps([timestamp_text(moment)]).each() == [moment]
    assert timestamp_text(moment).endswith("Z")


@given(st.integers(-(10**9), 10**10))
def test_seconds_are_numbers(seconds: int) -> None:
    assert read_timestamps([seconds, seconds + 0.25, float(seconds)]).each() == [
        seconds * 1_000_000,
        seconds * 1_000_000 + 250_000,
        seconds * 1_000_000,
    ]


def test_a_tenth_of_a_second_is_where_it_is_written() -> None:
    assert read_timestamps([1700000000.3]).each() == read_timestamps(["2023-11-14T22:13:20.3Z"]).each()


def test_what_has_no_zone_is_utc_and_kinds_may_differ() -> None:
    values = ["2017-01-01T12:00", datetime(2017, 1, 1, 12), 1483272000, "2017-01-01T13:00+01:00"]  # noqa: DTZ001 - that is the case
    assert read_timestamps(values).each() == [NOON] * 4


@given(st.lists(st.floats(-1e9, 1e10), min_size=1))
def test_the_earliest_and_the_latest_are_those_of_each(seconds: list[float]) -> None:
    moments = read_timestamps(seconds)
    assert (moments.lowest, moments.highest) == (min(moments.each()), max(moments.each()))
    assert moments.count == len(seconds)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("yesterday", "'yesterday' is no ISO 8601 text"),
        ("1483272000", r"write float\(\) around it"),
        (1483272000_000, "divide milliseconds by 1000"),
        (-1e15, "not within the years 1000 to 9000"),
        (float("nan"), "is nan, and must be"),
        (float("inf"), "is inf, and must be"),
        (10**400, "int"),
        (True, "of type bool"),
        (None, "of type NoneType, and must be ISO 8601 text or a number of seconds since 1970"),
        ("9999-12-31", "not within the years"),
    ],
)
@pytest.mark.parametrize("beside", [[], [1483272000], ["2017-01-01"]])
def test_what_is_no_time_is_refused(value: object, said: str, beside: list[object]) -> None:
    with pytest.raises(BadEvent, match=said):
        read_timestamps([value, *beside]).each()
