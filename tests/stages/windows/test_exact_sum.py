"""Sums are exact, whatever the order and however they are put together."""

import math
import random
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.windows.accumulators import ExactSum

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
CENTS = st.integers(-(10**9), 10**9).map(lambda cents: round(cents / 100, 2))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
NUMBERS = st.one_of(FLOATS, st.integers(-(10**40), 10**40), DECIMALS)


def summed(*parts: list[object]) -> ExactSum:
    """Add each part to a sum of its own, and merge them."""
    whole = ExactSum()
    for part in parts:
        one = ExactSum()
        if part:
            one.add(part)
        whole.merge(one)
    return whole


def nearest(fraction: Fraction) -> float:
    try:
        return float(fraction)
    except OverflowError:
        return math.inf if fraction > 0 else -math.inf


@given(st.lists(FLOATS, min_size=1))
def test_a_sum_of_floats_is_the_float_nearest_to_the_true_one(values: list[float]) -> None:
    total = ExactSum()
    for value in values:
        total.add([value])
    assert total.total() == nearest(sum(map(Fraction, values), Fraction(0)))
    assert total.mean(len(values)) == float(sum(map(Fraction, values)) / len(values))


@given(st.lists(NUMBERS, min_size=1), st.integers(0, 50), st.randoms(use_true_random=False))
def test_neither_the_order_nor_the_parts_make_a_difference(values: list[object], cut: int, dice: random.Random) -> None:
    shuffled = list(values)
    dice.shuffle(shuffled)
    one, other = summed(values), summed(shuffled[:cut], shuffled[cut:])
    assert repr(one.total()) == repr(other.total())
    assert repr(one.mean(len(values))) == repr(other.mean(len(values)))


@given(st.lists(CENTS, min_size=1, max_size=300))
def test_money_in_floats_is_right_to_the_cent(values: list[float]) -> None:
    cents = sum(round(value * 100) for value in values)
    total = summed(list[object](values)).total()
    assert round(float(total) * 100) == cents


@given(st.lists(DECIMALS | st.integers(-(10**6), 10**6), min_size=1))
def test_decimals_stay_decimals_and_lose_no_digit(values: list[object]) -> None:
    total = summed(values).total()
    assert Fraction(total) == sum(Fraction(value) for value in values if isinstance(value, int | Decimal))
    assert isinstance(total, Decimal) is any(isinstance(value, Decimal) for value in values)


def test_ten_tenths_are_one_and_whole_numbers_stay_whole() -> None:
    assert summed([0.1] * 10).total() == 1.0
    assert summed([10**30, 1, -(10**30)]).total() == 1
    assert repr(summed([1, 2]).total()) == "3"
    assert summed([1, 2]).mean(2) == 1.5
    assert repr(summed([Decimal("0.10"), Decimal("0.20"), 1]).total()) == "Decimal('1.30')"
    assert repr(summed([Decimal(1), Decimal(2)]).mean(3)) == "Decimal('1')"


def test_what_overflows_on_the_way_comes_back() -> None:
    assert summed([1e308, 1e308, -1e308, -1e308, 3.5]).total() == 3.5
    assert summed([1e308, 1e308]).total() == math.inf


def test_an_empty_sum_is_0() -> None:
    assert ExactSum().total() == 0
