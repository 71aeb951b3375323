"""Metrics of one name from several stages."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.metrics import combined
from headrace.telemetry.counts import Family, FamilySpec

COUNTS = st.dictionaries(st.tuples(st.sampled_from("abc")), st.integers(0, 100))


def counter(samples: dict[tuple[str], int]) -> Family:
    family = Family(FamilySpec("counter", "shop_total", "Things.", ("key",)))
    for values, amount in samples.items():
        family.add(values, amount)
    return family


def histogram(values: list[float]) -> Family:
    family = Family(FamilySpec("histogram", "shop_euros", "Euros.", ("key",), (1, 10)))
    for value in values:
        family.observe(("a",), value)
    return family


@given(COUNTS, COUNTS)
def test_counts_of_one_metric_are_added(one: dict[tuple[str], int], other: dict[tuple[str], int]) -> None:
    keys = one.keys() | other.keys()
    found = combined([counter(one), counter(other)]).samples
    assert found == {key: one.get(key, 0) + other.get(key, 0) for key in keys}


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 20)))
def test_observations_of_one_metric_are_added(one: list[float], other: list[float]) -> None:
    apart, together = combined([histogram(one), histogram(other)]), histogram([*one, *other])
    assert {key: (tally.counts(), tally.sum) for key, tally in apart.tallies.items()} == {
        key: (tally.counts(), tally.sum) for key, tally in together.tallies.items()
    }


def test_of_a_gauge_the_later_stages_value_stands() -> None:
    gauges = [Family(FamilySpec("gauge", "shop_height", "Height.")) for _ in range(2)]
    for gauge, height in zip(gauges, (5, 3), strict=True):
        gauge.set((), height)
    assert combined(gauges).samples == {(): 3}
