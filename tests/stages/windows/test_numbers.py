"""Only what is a number is computed with."""

from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

import pytest

from headrace.stages.errors import BadEvent
from headrace.stages.windows.accumulators import numbers


def test_numbers_pass_as_they_are() -> None:
    values: list[object] = [1, 2.5, Decimal("3.10"), 10**300]
    assert numbers(values, "total") == values
    assert numbers([1, 2.5], "total") == [1, 2.5]
    assert numbers([1e308, 1e308], "total") == [1e308, 1e308]


def test_what_can_be_a_float_becomes_one() -> None:
    assert repr(numbers([Fraction(1, 2)], "total")) == "[0.5]"


def test_a_kind_of_int_becomes_an_int() -> None:
    class Amount(int):
        pass

    assert [type(one) for one in numbers([Amount(3)], "total")] == [int]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("5", r"the value of total is text: write float\(\) around it"),
        (True, "is of type bool, and must be a number"),
        (None, "is of type NoneType"),
        (float("nan"), "is not finite"),
        (float("-inf"), "is not finite"),
        (10**400, "beyond all floats"),
        (Decimal("NaN"), "is not finite"),
        (Decimal("sNaN"), "is not finite"),
        (Decimal("1e500"), "beyond all floats"),
        (Decimal("1e-5000"), "not finite, or beyond"),
    ],
)
def test_what_is_no_number_is_refused(value: object, said: str) -> None:
    with pytest.raises(BadEvent, match=said):
        numbers([1, cast("Any", value)], "total")
