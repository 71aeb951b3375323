"""Cron expressions, and what daylight saving does to them."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.errors import BadCron
from headrace.jobs.rules.cron import NICKNAMES, Cron

EXPRESSIONS = st.sampled_from(
    [
        "* * * * *",
        "*/5 2 * * *",
        "0 * * * *",
        "30 2 * * *",
        "0,30 1-3 * * *",
        "15 0 * * mon-fri",
        "0 12 1,15 jan,apr,oct *",
        "59 23 L * *",
        "0 3 * * 5L",
        "0 9 * * 1#2",
    ]
)
ZONES = st.sampled_from(["Etc/UTC", "Europe/Berlin", "Australia/Sydney", "Australia/Lord_Howe", "America/New_York"])
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - made UTC


def local(zone: str, *times: datetime) -> list[str]:
    """Say when that is on the clocks of a zone, and by how much they are ahead."""
    return [time.astimezone(ZoneInfo(zone)).strftime("%d %H:%M %z") for time in times]


def midnight(zone: str, month: int, day: int) -> datetime:
    """Return when that day of 2026 begins in a zone."""
    return datetime(2026, month, day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def due(expression: str, zone: str, day: tuple[int, int], days: float = 2) -> list[str]:
    """Return when it is due within so many days of the beginning of that day of 2026."""
    after = midnight(zone, *day)
    return local(zone, *Cron(expression, zone).all_between(after, after + timedelta(days=days)))


@given(expression=EXPRESSIONS, zone=ZONES, time=TIMES)
def test_what_is_due_next_is_later_and_the_first_of_all(expression: str, zone: str, time: datetime) -> None:
    cron = Cron(expression, zone)
    following = cron.next_after(time)
    assert following is not None
    assert following > time
    assert following.tzinfo is UTC
    assert next(cron.all_between(time, following)) == following
    assert list(cron.all_between(time, following - timedelta(seconds=1))) == []


@given(expression=EXPRESSIONS, zone=ZONES, time=TIMES)
def test_nothing_is_due_twice_at_one_time(expression: str, zone: str, time: datetime) -> None:
    times = list(islice(Cron(expression, zone).all_between(time, time + timedelta(days=400)), 200))
    assert all(one < other for one, other in pairwise(times))


@given(expression=EXPRESSIONS, zone=ZONES, time=TIMES, hours=st.floats(0, 200))
def test_looking_step_by_step_sees_all_that_looking_once_does(
    expression: str, zone: str, time: datetime, hours: float
) -> None:
    cron = Cron(expression, zone)
    until = time + timedelta(hours=hours)
    stepped: list[datetime] = []
    at = cron.next_after(time)
    while at is not None and at <= until and len(stepped) < 300:
        stepped.append(at)
        at = cron.next_after(at)
    assert list(islice(cron.all_between(time, until), 300)) == stepped


@given(expression=EXPRESSIONS, zone=ZONES, time=TIMES, hours=st.floats(0, 500), count=st.integers(1, 20))
def test_the_latest_are_the_end_of_all(expression: str, zone: str, time: datetime, hours: float, count: int) -> None:
    cron = Cron(expression, zone)
    until = time + timedelta(hours=hours)
    assert cron.latest_between(time, until, count) == list(cron.all_between(time, until))[-count:]


def test_the_latest_of_ten_years_of_minutes_are_found_at_once() -> None:
    until = datetime(2026, 11, 24, 12, tzinfo=UTC)
    found = Cron("* * * * *").latest_between(until - timedelta(days=3650), until, 2)
    assert found == [until - timedelta(minutes=1), until]


@pytest.mark.parametrize(("nickname", "fields"), NICKNAMES.items())
def test_a_nickname_is_its_five_fields(nickname: str, fields: str) -> None:
    time = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert Cron(nickname).next_after(time) == Cron(fields).next_after(time) == Cron(nickname.upper()).next_after(time)


def test_a_reboot_has_no_time() -> None:
    cron = Cron("@reboot")
    time = datetime(2026, 11, 24, tzinfo=UTC)
    assert cron.is_reboot
    assert cron.next_after(time) is None
    assert cron.latest_between(time, time + timedelta(days=9), 3) == []


def test_names_of_months_and_days_are_their_numbers() -> None:
    time = datetime(2026, 11, 24, 12, tzinfo=UTC)
    named = islice(Cron("0 6 * JAN-mar,dec Mon,wed").all_between(time, time + timedelta(days=90)), 20)
    numbered = islice(Cron("0 6 * 1-3,12 1,3").all_between(time, time + timedelta(days=90)), 20)
    assert list(named) == list(numbered)


# Germany: on 29 March 2026 it is 3:00 after 1:59, on 25 October it is 2:00 once more after 2:59.


def test_what_the_spring_night_leaves_out_runs_at_the_end_of_the_gap() -> None:
    assert due("30 2 * * *", "Europe/Berlin", (3, 28)) == ["28 02:30 +0100", "29 03:00 +0200"]


def test_what_the_spring_night_leaves_out_twice_runs_once() -> None:
    assert due("0,30 2 * * *", "Europe/Berlin", (3, 29), 1) == ["29 03:00 +0200"]


def test_what_runs_at_a_set_time_runs_once_in_the_autumn_night() -> None:
    times = due("30 2 * * *", "Europe/Berlin", (10, 24), 3)
    assert times == ["24 02:30 +0200", "25 02:30 +0200", "26 02:30 +0100"]


def test_within_the_second_of_two_hours_nothing_of_the_first_is_due_again() -> None:
    second = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
    assert local("Europe/Berlin", second) == ["25 02:15 +0100"]
    following = Cron("30 2 * * *", "Europe/Berlin").next_after(second)
    assert following is not None
    assert local("Europe/Berlin", following) == ["26 02:30 +0100"]


def test_what_runs_every_hour_keeps_its_pace_over_both_nights() -> None:
    for night in ((3, 29), (10, 25)):
        after = midnight("Europe/Berlin", *night)
        times = list(Cron("0 * * * *", "Europe/Berlin").all_between(after, after + timedelta(hours=6)))
        assert times == [after + timedelta(hours=hour) for hour in range(1, 7)]


# New South Wales: on 4 October 2026 it is 3:00 after 1:59, on 5 April it is 2:00 once more after 2:59.


def test_in_the_south_the_nights_are_the_other_way_round() -> None:
    spring = due("30 2 * * *", "Australia/Sydney", (10, 3))
    autumn = due("30 2 * * *", "Australia/Sydney", (4, 4))
    assert spring == ["03 02:30 +1000", "04 03:00 +1100"]
    assert autumn == ["04 02:30 +1100", "05 02:30 +1100"]


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("61 * * * *", "has the minute '61': write 0-59, or lists"),
        ("* 24 * * *", "has the hour '24': write 0-23"),
        ("* * 0 * *", "has the day-of-month '0': write 1-31"),
        ("* * * foo *", "has the month 'foo': write 1-12 or JAN-DEC"),
        ("* * * * mun", "has the day-of-week 'mun': write 0-7"),
        ("*/0 * * * *", "has the minute '*/0': write"),
        ("5-1 * * * *", "has the minute '5-1': write"),
        ("* * * *", "has 4 fields: write five"),
        ("0 * * * * *", "has 6 fields: write five"),
        ("", "has 0 fields: write five"),
        ("0 0 31 feb *", "never comes"),
        ("@fortnightly", "is no nickname: write one of @yearly"),
    ],
)
def test_an_expression_that_cannot_be_read_is_refused_in_one_sentence(expression: str, sentence: str) -> None:
    with pytest.raises(BadCron) as refused:
        Cron(expression)
    assert str(refused.value).startswith(f"the cron expression {expression!r} {sentence}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "../etc/passwd", "/etc/passwd"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadCron, match="is in the time zone"):
        Cron("@daily", zone)


@given(text=st.text("0123456789*/-,#LWMONJA @", max_size=24))
def test_any_text_is_an_expression_or_is_refused(text: str) -> None:
    try:
        cron = Cron(text)
    except BadCron:
        return
    assert cron.is_reboot or cron.next_after(datetime(2026, 11, 24, tzinfo=UTC)) is not None
