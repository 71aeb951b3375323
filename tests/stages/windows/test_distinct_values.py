"""Different values are counted exactly up to a bound, and within the error that is promised beyond."""

import random
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.windows.accumulators import EXACT_VALUES, STANDARD_ERROR, DistinctValues

VALUES = st.lists(st.text(max_size=3) | st.integers(-50, 50) | st.none() | st.booleans() | st.binary(max_size=1))


def counted(values: list[object]) -> DistinctValues:
    made = DistinctValues()
    made.add(values)
    return made


@given(VALUES, VALUES)
def test_few_values_are_counted_exactly(left: list[object], right: list[object]) -> None:
    made = counted(left)
    made.merge(counted(right))
    assert made.count() == len({*left, *right})


@pytest.mark.parametrize("count", [EXACT_VALUES, EXACT_VALUES + 1, 3_000, 10_000, 100_000])
@pytest.mark.parametrize("kind", [str, int, lambda n: ("a", n)], ids=["texts", "numbers", "tuples"])
def test_many_values_are_counted_within_four_standard_errors(count: int, kind: type) -> None:
    made = counted([kind(number) for number in range(count)])
    error = abs(made.count() - count) / count
    assert error == 0 if count <= EXACT_VALUES else error <= 4 * STANDARD_ERROR


@pytest.mark.parametrize("sizes", [(500, 500), (800, 800), (5_000, 20), (20, 5_000), (5_000, 5_000)])
def test_merged_counts_are_those_of_all_values_together(sizes: tuple[int, int]) -> None:
    left, right = [list[object](range(size)) for size in sizes]
    right = [f"{value}" for value in right]
    merged, whole = counted(left), counted(left + right)
    merged.merge(counted(right))
    assert merged.count() == whole.count()


def test_neither_the_order_nor_repetitions_make_a_difference() -> None:
    values: list[object] = [f"customer {number}" for number in range(4_000)]
    shuffled = values * 2
    random.Random(5).shuffle(shuffled)
    one_by_one = DistinctValues()
    for value in shuffled:
        one_by_one.add([value])
    assert one_by_one.count() == counted(values).count()


def test_equal_numbers_are_one_value_and_a_text_is_none_of_them() -> None:
    many: list[object] = list(range(1_500))
    made = counted(many)
    before = made.count()
    made.add([1.0, True, Decimal(7), *map(float, range(100))])
    assert made.count() == before
    made.add([f"{number}" for number in range(1_500)])
    assert made.count() > before * 1.8


def test_its_size_is_bounded() -> None:
    made = counted([f"{number}" for number in range(50_000)])
    assert made.registers is not None
    assert len(made.values) == 0
    assert sys.getsizeof(made.registers) < 5_000
