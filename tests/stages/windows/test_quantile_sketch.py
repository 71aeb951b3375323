"""Quantiles are within the relative error that is promised, and the sketch stays within its bound."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.windows.accumulators import MOST_BINS, RELATIVE_ERROR, QuantileSketch

NEAR = st.floats(1e-6, 1e9) | st.floats(-1e9, -1e-6) | st.just(0.0) | st.integers(-(10**6), 10**6)
ANY = st.floats(allow_nan=False, allow_infinity=False)
AT = st.floats(0, 1)
ROUNDING = 1e-9


def sketch(values: list[float]) -> QuantileSketch:
    made = QuantileSketch()
    if values:
        made.add(values)
    return made


def true_quantile(values: list[float], at: float) -> float:
    return float(sorted(values)[math.floor(at * (len(values) - 1))])


@given(st.lists(NEAR, min_size=1, max_size=200), AT)
def test_a_quantile_is_within_the_relative_error(values: list[float], at: float) -> None:
    true = true_quantile(values, at)
    assert abs(sketch(values).quantile(at) - true) <= abs(true) * (RELATIVE_ERROR + ROUNDING)


@given(st.lists(ANY, min_size=1), AT)
def test_so_is_that_of_any_floats_while_there_are_bins_for_them(values: list[float], at: float) -> None:
    true, found = true_quantile(values, at), sketch(values).quantile(at)
    assert abs(found - true) <= abs(true) * (RELATIVE_ERROR + ROUNDING)


@given(st.lists(NEAR, min_size=1), st.lists(NEAR), AT)
def test_merged_sketches_are_the_sketch_of_all(left: list[float], right: list[float], at: float) -> None:
    merged = sketch(left)
    merged.merge(sketch(right))
    assert merged.quantile(at) == sketch(left + right).quantile(at)
    other = sketch(right)
    other.merge(sketch(left))
    assert other.quantile(at) == merged.quantile(at)


@given(st.lists(NEAR, min_size=1), st.randoms(use_true_random=False), AT)
def test_the_order_makes_no_difference(values: list[float], dice: random.Random, at: float) -> None:
    shuffled = list(values)
    dice.shuffle(shuffled)
    one_by_one = QuantileSketch()
    for value in shuffled:
        one_by_one.add([value])
    assert one_by_one.quantile(at) == sketch(values).quantile(at)


@given(st.lists(ANY, min_size=1))
def test_the_least_and_the_greatest_are_exact_or_the_nearest_of_their_bin(values: list[float]) -> None:
    made = sketch(values)
    assert min(values) <= made.quantile(0) <= made.quantile(0.5) <= made.quantile(1) <= max(values)


@pytest.mark.parametrize("sign", [1, -1])
def test_beyond_the_bound_only_what_is_nearest_to_zero_loses_precision(sign: int) -> None:
    values = [sign * 1.001**exponent for exponent in range(-300_000, 300_000, 7)]
    made = QuantileSketch()
    for begin in range(0, len(values), 1000):
        made.add(values[begin : begin + 1000])
        assert made.bins <= MOST_BINS
    for at in (0.95, 0.99, 1.0) if sign == 1 else (0.0, 0.01, 0.05):
        true = true_quantile(values, at)
        assert abs(made.quantile(at) - true) <= abs(true) * (RELATIVE_ERROR + ROUNDING)


def test_the_largest_and_the_smallest_floats_have_room() -> None:
    made = sketch([1.7976931348623157e308, 5e-324, -1.7976931348623157e308])
    assert made.quantile(1) == pytest.approx(1.7976931348623157e308, rel=RELATIVE_ERROR)
    assert made.quantile(0) == pytest.approx(-1.7976931348623157e308, rel=RELATIVE_ERROR)
    assert made.quantile(0.5) == pytest.approx(0, abs=1e-300)
