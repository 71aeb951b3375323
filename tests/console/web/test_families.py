"""Metrics of one name from several stages."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Metric

from headrace.console.web.families import merged
from headrace.ground.counts import Family, FamilySpec
from headrace.ground.exposition import collect

COUNTS = st.dictionaries(st.tuples(st.sampled_from("abc")), st.integers(0, 100))


def counter(samples: dict[tuple[str], int]) -> Family:
    family = Family(FamilySpec("counter", "shop_total", "Things.", ("key",)))
    for values, amount in samples.items():
        family.add(values, amount)
    return family


def histogram(values: list[float], buckets: tuple[float, ...] = (1, 10)) -> Family:
    family = Family(FamilySpec("histogram", "shop_euros", "Euros.", ("key",), buckets))
    for value in values:
        family.observe(("a",), value)
    return family


def read(metrics: list[Metric]) -> dict[tuple[str, ...], float]:
    return {(sample.name, *sample.labels.values()): sample.value for metric in metrics for sample in metric.samples}


@given(COUNTS, COUNTS)
def test_counts_of_one_metric_are_added(one: dict[tuple[str], int], other: dict[tuple[str], int]) -> None:
    found = read(merged(collect([counter(one), counter(other)])))
    keys = one.keys() | other.keys()
    assert found == {("shop_total", *key): one.get(key, 0) + other.get(key, 0) for key in keys}


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 20)))
def test_observations_of_one_metric_are_added(one: list[float], other: list[float]) -> None:
    apart = merged(collect([histogram(one), histogram(other)]))
    assert read(apart) == read(merged(collect([histogram([*one, *other])])))


def test_of_a_gauge_the_later_stages_value_stands() -> None:
    gauges = [Family(FamilySpec("gauge", "shop_height", "Height.")) for _ in range(2)]
    for gauge, height in zip(gauges, (5, 3), strict=True):
        gauge.set((), height)
    assert read(merged(collect(gauges))) == {("shop_height",): 3}


def test_a_metric_unlike_an_earlier_one_of_its_name_is_left_out() -> None:
    unlike = [histogram([1]), histogram([1], (2, 3)), Family(FamilySpec("gauge", "shop_euros", "Euros."))]
    assert read(merged(collect(unlike))) == read(merged(collect([histogram([1])])))


def test_nobody_takes_a_name_of_headraces_own() -> None:
    own = Family(FamilySpec("gauge", "headrace_build_info", "A lie."))
    assert merged(collect([own, counter({("a",): 1})]))[0].name == "shop"
