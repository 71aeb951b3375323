"""Counts: plain numbers, with a bound on label sets."""

from collections.abc import Callable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import MetricConflict
from headrace.telemetry.counts import LABEL_SETS_LIMIT, Families, Family, FamilySpec, HistogramCounts, LabelValues

BOUNDS = st.lists(st.integers(-50, 50).map(float), unique=True).map(sorted)
VALUES = st.lists(st.integers(-60, 60).map(float))


def _count(family: Family, values: LabelValues) -> bool:
    return family.add(values, 2)


def _set(family: Family, values: LabelValues) -> bool:
    return family.set(values, 2)


def _observe(family: Family, values: LabelValues) -> bool:
    return family.observe(values, 2)


WAYS = pytest.mark.parametrize(("kind", "record"), [("counter", _count), ("gauge", _set), ("histogram", _observe)])
Record = Callable[[Family, LabelValues], bool]


@given(bounds=BOUNDS, values=VALUES)
def test_an_observation_is_in_the_first_bucket_whose_bound_it_does_not_exceed(
    bounds: list[float], values: list[float]
) -> None:
    tally = HistogramCounts(bounds)
    for value in values:
        tally.observe(value)
    lower = [-inf, *bounds]
    upper = [*bounds, inf]
    expected = [sum(low < value <= high for value in values) for low, high in zip(lower, upper, strict=True)]
    assert list(tally.counts()) == expected
    assert tally.sum == sum(values)


def test_a_bound_that_is_infinite_is_the_last_bucket_s_own() -> None:
    tally = HistogramCounts([1.0, inf])
    tally.observe(5.0)
    assert tally.bounds == (1.0,)
    assert tally.counts() == (0, 1)


def test_a_counter_adds_up() -> None:
    family = Family(FamilySpec("counter", "sales_total", "Sales.", ("country",)))
    for country, amount in (("at", 1), ("de", 2.5), ("at", 3)):
        assert family.add((country,), amount)
    assert family.samples == {("at",): 4, ("de",): 2.5}


def test_a_gauge_holds_the_latest_value_and_may_go_up_and_down() -> None:
    family = Family(FamilySpec("gauge", "temperature", "Degrees.", ("room",)))
    family.set(("hall",), 20.5)
    family.set(("hall",), 18.0)
    family.add(("hall",), -0.5)
    assert family.samples == {("hall",): 17.5}


def test_a_histogram_counts_each_label_set_apart() -> None:
    family = Family(FamilySpec("histogram", "size_bytes", "Sizes.", ("kind",), (1.0, 10.0)))
    for kind, size in (("a", 0.5), ("b", 5.0), ("a", 50.0)):
        assert family.observe((kind,), size)
    assert {values: tally.counts() for values, tally in family.tallies.items()} == {
        ("a",): (1, 0, 1),
        ("b",): (0, 1, 0),
    }


def test_a_metric_without_labels_starts_at_zero() -> None:
    assert Family(FamilySpec("counter", "a_total", "A.")).samples == {(): 0}
    assert Family(FamilySpec("gauge", "a", "A.")).samples == {(): 0}
    assert Family(FamilySpec("histogram", "a", "A.", (), (1.0,))).tallies[()].counts() == (0, 0)


def test_a_metric_with_labels_starts_empty() -> None:
    assert Family(FamilySpec("counter", "a_total", "A.", ("b",))).samples == {}


@WAYS
def test_a_label_set_beyond_the_limit_is_counted_as_other_and_known_ones_go_on(kind: str, record: Record) -> None:
    spec = FamilySpec(kind, "a", "A.", ("b",), (1.0,), limit=2)  # type: ignore[arg-type] # one of the three
    family = Family(spec)
    accepted = [record(family, (value,)) for value in "xyzxwy"]
    assert accepted == [True, True, False, True, False, True]
    assert family.refused == 2
    other = set() if kind == "gauge" else {("other",)}
    assert set(family.tallies if kind == "histogram" else family.samples) == {("x",), ("y",), *other}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvw"), st.integers(0, 9))), st.integers(1, 20))
def test_the_sums_over_all_label_sets_are_right_whatever_the_limit(
    events: list[tuple[str, str, int]], limit: int
) -> None:
    counter = Family(FamilySpec("counter", "a_total", "A.", ("b", "c"), limit=limit))
    histogram = Family(FamilySpec("histogram", "h", "H.", ("b", "c"), (1.0, 5.0), limit=limit))
    for first, second, number in events:
        assert counter.add((first, second), number) is histogram.observe((first, second), number)
    total = sum(number for _, _, number in events)
    assert sum(counter.samples.values()) == sum(tally.sum for tally in histogram.tallies.values()) == total
    assert sum(sum(tally.counts()) for tally in histogram.tallies.values()) == len(events)
    assert len(counter.samples) <= limit + 1
    assert (("other", "other") in counter.samples) is (counter.refused > 0)


@WAYS
def test_a_copy_changes_with_no_later_count(kind: str, record: Record) -> None:
    spec = FamilySpec(kind, "a", "A.", ("b",), (1.0,), limit=1)  # type: ignore[arg-type] # one of the three
    family = Family(spec)
    record(family, ("x",))
    copy = family.copy()
    tallies = {values: (tally.counts(), tally.sum) for values, tally in copy.tallies.items()}
    before = (dict(copy.samples), tallies, copy.refused)
    record(family, ("x",))
    family.add(("x",), 1)
    record(family, ("y",))
    assert before == (
        copy.samples,
        {values: (tally.counts(), tally.sum) for values, tally in copy.tallies.items()},
        copy.refused,
    )
    assert family.refused == 1


def test_asking_for_a_family_again_gives_the_same_one() -> None:
    families = Families()
    spec = FamilySpec("counter", "a_total", "A.", ("b",))
    family = families.declare(spec)
    family.add(("x",), 1)
    assert families.declare(FamilySpec("counter", "a_total", "Said otherwise.", ("b",))) is family
    assert list(families) == [family]
    assert spec.limit == LABEL_SETS_LIMIT


@pytest.mark.parametrize(
    "other",
    [
        FamilySpec("gauge", "a", "A.", ("b",), (1.0,)),
        FamilySpec("histogram", "a", "A.", ("c",), (1.0,)),
        FamilySpec("histogram", "a", "A.", ("b",), (2.0,)),
    ],
)
def test_a_name_that_another_metric_has_is_refused(other: FamilySpec) -> None:
    families = Families()
    families.declare(FamilySpec("histogram", "a", "A.", ("b",), (1.0,)))
    with pytest.raises(MetricConflict, match="declares the metric 'a' twice, with another kind, other labels"):
        families.declare(other)


def test_families_are_copied_all_together() -> None:
    families = Families()
    family = families.declare(FamilySpec("counter", "a_total", "A."))
    families.declare(FamilySpec("gauge", "b", "B."))
    copies = families.copy()
    family.add((), 1)
    assert [copy.spec.name for copy in copies] == ["a_total", "b"]
    assert copies[0].samples == {(): 0}
