"""Durations, sizes and rates are read as written, and refused with a sentence that shows how to write them."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.units import (
    Rate,
    UnitError,
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)

Parser = Callable[[object], object]

PARSERS: list[Parser] = [parse_duration, parse_size, parse_rate]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("1s", 1.0),
        ("1.5s", 1.5),
        ("0.1s", 0.1),
        ("100us", 0.0001),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("1w", 604800.0),
        ("1h30m", 5400.0),
        ("1d2h3m4s5ms", 93784.005),
        ("90m", 5400.0),
        ("0s", 0.0),
        (" 1s ", 1.0),
        ("PT5S", 5.0),
        ("PT0.5S", 0.5),
        ("PT1H30M", 5400.0),
        ("P1DT12H", 129600.0),
        ("P2W", 1209600.0),
        ("PT0S", 0.0),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512B", 512),
        ("0B", 0),
        ("64kB", 64_000),
        ("64KiB", 65_536),
        ("10MiB", 10_485_760),
        ("1.5GB", 1_500_000_000),
        ("1.5KiB", 1536),
        ("0.1kB", 100),
        ("2TiB", 2 * 1024**4),
        ("1PB", 10**15),
    ],
)
def test_a_size_is_read_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate", "per_second"),
    [
        ("100/s", Rate(100, 1), 100),
        ("5/m", Rate(5, 60), 5 / 60),
        ("10/250ms", Rate(10, 0.25), 40),
        ("0.5/s", Rate(0.5, 1), 0.5),
        ("1000/1h30m", Rate(1000, 5400), 1000 / 5400),
        ("7/2d", Rate(7, 172_800), 7 / 172_800),
    ],
)
def test_a_rate_is_read_as_events_in_a_period(text: str, rate: Rate, per_second: float) -> None:
    assert parse_rate(text) == rate
    assert parse_rate(text).per_second == per_second


@pytest.mark.parametrize("number", [30, "30", 30.0, "30.0", 0, "0"])
@pytest.mark.parametrize(("parse", "unit"), [(parse_duration, "s"), (parse_size, "B"), (parse_rate, "/s")])
def test_a_bare_number_is_refused_with_what_to_write(parse: Parser, unit: str, number: object) -> None:
    with pytest.raises(UnitError) as caught:
        parse(number)
    assert caught.value.why == "has no unit"
    assert f"write {number}{unit}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5M", "'5M' has the unknown unit 'M': did you mean m?"),
        ("5 m", "is not a duration"),
        ("5minutes", "unknown unit 'minutes': write it with units, such as 250ms, 1s, 5m"),
        ("-5s", "is not a duration"),
        ("1e3s", "unknown unit 'e'"),
        ("1,5s", "is not a duration"),
        (".5s", "is not a duration"),
        ("infs", "is not a duration"),
        ("٣s", "is not a duration"),
        ("", "is not a duration"),
        ("s", "is not a duration"),
        ("30m1h", "wrong order"),
        ("1m1m", "wrong order"),
        ("P", "not an ISO 8601 duration"),
        ("PT", "not an ISO 8601 duration"),
        ("P1Y", "months and years vary in length"),
        ("P1M", "months and years vary in length"),
        ("9" * 399 + "w", "is too large"),
        ("9" * 400 + "w", "longer than 400 characters"),
    ],
)
def test_what_is_no_duration_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_duration(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("64KB", "did you mean kB?"),
        ("10mib", "did you mean MiB?"),
        ("64k", "unknown unit 'k'"),
        ("1.5B", "is no whole number of bytes"),
        ("1GiB512MiB", "is not a size"),
        ("10 MiB", "write it with a unit, such as 512B, 64kB (64000) or 10MiB"),
    ],
)
def test_what_is_no_size_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_size(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("100/sec", "'100/sec' has the unknown unit 'sec': write events per time, such as 100/s"),
        ("100/", "'100/' is not a rate"),
        ("/s", "is not a rate"),
        ("100", "has no unit"),
        ("100 per s", "is not a rate"),
        ("-1/s", "is not a rate"),
        ("0/s", "has a 0 in it"),
        ("1/0s", "has a 0 in it"),
    ],
)
def test_what_is_no_rate_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_rate(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("value", [None, True, [], {}, b"1s", float("nan"), float("inf"), -1])
def test_what_is_no_text_is_refused(parse: Parser, value: object) -> None:
    with pytest.raises(HeadraceError, match=r"write .* such as"):
        parse(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1, "1s"), (90.5, "1m30.5s"), (5400, "1h30m"), (86_400, "1d"), (0.00001, "10us")],
)
def test_a_duration_is_written_as_a_person_would(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, allow_infinity=False, allow_nan=False))
@example(5e-324)
@example(1.7976931348623157e308)
@example(0.1 + 0.2)
def test_a_written_duration_reads_back_as_the_very_same_float(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(min_value=0, max_value=2**70) | st.integers(0, 2000).map(lambda n: n * 1024**3))
def test_a_written_size_reads_back_as_the_same_number(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10**6), st.sampled_from(["d", "h", "m", "s", "ms"]), st.integers(0, 10**6))
def test_parts_of_a_duration_add_up(first: int, unit: str, microseconds: int) -> None:
    together = parse_duration(f"{first}{unit}{microseconds}us")
    assert together == pytest.approx(parse_duration(f"{first}{unit}") + parse_duration(f"{microseconds}us"))


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_what_is_no_duration_is_not_written(seconds: float) -> None:
    with pytest.raises(UnitError, match="at least 0"):
        format_duration(seconds)


def test_a_negative_size_is_not_written() -> None:
    with pytest.raises(UnitError, match="at least 0"):
        format_size(-1)


@given(st.text() | st.text(alphabet="0123456789./smhdwukKMGTPiBTHMS ", max_size=500))
def test_no_text_raises_anything_but_a_unit_error(text: str) -> None:
    for parse in PARSERS:
        with suppress(UnitError):
            parse(text)


@pytest.mark.parametrize("text", ["1" * 100_000, "1." * 50_000, "1s" * 50_000, "P" + "1" * 100_000, "1" * 399])
def test_a_hostile_text_is_refused_at_once(text: str) -> None:
    started = time.perf_counter()
    for parse in PARSERS:
        with pytest.raises(UnitError):
            parse(text)
    assert time.perf_counter() - started < 1
