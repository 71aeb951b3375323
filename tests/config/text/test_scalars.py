"""YAML 1.2's core schema."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.text.tree import MAX_DIGITS, resolve


@pytest.mark.parametrize(
    "text", ["no", "off", "on", "yes", "No", "OFF", "y", "1:30", "190:20:30", "1_000", "0b1", "0o9"]
)
def test_what_yaml_1_1_took_for_something_else_is_text(text: str) -> None:
    assert resolve(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("012", 12),
        ("0o14", 12),
        ("0x1f", 31),
        ("-7", -7),
        ("+7", 7),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("2.", 2.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("2026-11-24", "2026-11-24"),
        ("nULL", "nULL"),
        ("٣", "٣"),
    ],
)
def test_a_plain_scalar_is_what_the_core_schema_says(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    found = resolve(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


def test_a_number_too_long_for_python_is_text() -> None:
    assert resolve("9" * MAX_DIGITS) == int("9" * MAX_DIGITS)
    assert resolve("9" * 5000) == "9" * 5000


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_back_as_it_was_written(number: float) -> None:
    assert resolve(repr(number)) == number


@given(st.text())
def test_any_text_resolves_to_something(text: str) -> None:
    assert isinstance(resolve(text), str | int | float | None)
