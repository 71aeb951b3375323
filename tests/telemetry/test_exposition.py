"""Expositions: what Prometheus reads back is what was counted, in both formats."""

from collections.abc import Callable, Iterable, Iterator
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from headrace.telemetry.counts import Family, FamilySpec
from headrace.telemetry.prometheus import collect, cumulative

LABEL_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


class Fixed:
    """A collector of some families."""

    def __init__(self, families: Iterable[Family]) -> None:
        self.families = list(families)

    def collect(self) -> Iterator[Metric]:
        return collect(self.families)


def _text(families: Iterable[Family]) -> list[Metric]:
    registry = CollectorRegistry()
    registry.register(Fixed(families))
    return list(text_string_to_metric_families(generate_latest(registry).decode()))


def _openmetrics(families: Iterable[Family]) -> list[Metric]:
    registry = CollectorRegistry()
    registry.register(Fixed(families))
    text: bytes = openmetrics_exposition.generate_latest(registry)  # type: ignore[no-untyped-call] # its own lack
    parsed: Iterable[Metric] = openmetrics_parser.text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
    return list(parsed)


Read = Callable[[Iterable[Family]], list[Metric]]
FORMATS = pytest.mark.parametrize("read", [_text, _openmetrics])


def _samples(metrics: Iterable[Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sample.labels.items())): sample.value for metric in metrics for sample in metric.samples
    }


@FORMATS
def test_metrics_are_read_back_under_their_names_with_their_help_and_labels(read: Read) -> None:
    counter = Family(FamilySpec("counter", "shop_sales_total", 'Sales, "all"\nof them.', ("country", "kind")))
    counter.add(("at", "new"), 3)
    gauge = Family(FamilySpec("gauge", "shop_open", "Whether it is open."))
    gauge.set((), 1)
    histogram = Family(FamilySpec("histogram", "shop_euros", "Euros.", ("country",), (0.5, 10.0)))
    for euros in (0.5, 3.0, 7.0, 11.0):
        histogram.observe(("de",), euros)
    metrics = read([counter, gauge, histogram])
    assert [(metric.type, metric.documentation) for metric in metrics] == [
        ("counter", 'Sales, "all"\nof them.'),
        ("gauge", "Whether it is open."),
        ("histogram", "Euros."),
    ]
    assert _samples(metrics) == {
        ("shop_sales_total", (("country", "at"), ("kind", "new"))): 3,
        ("shop_open", ()): 1,
        ("shop_euros_bucket", (("country", "de"), ("le", "0.5"))): 1,
        ("shop_euros_bucket", (("country", "de"), ("le", "10.0"))): 3,
        ("shop_euros_bucket", (("country", "de"), ("le", "+Inf"))): 4,
        ("shop_euros_count", (("country", "de"),)): 4,
        ("shop_euros_sum", (("country", "de"),)): 21.5,
    }


@FORMATS
def test_metrics_without_labels_are_there_at_zero(read: Read) -> None:
    specs = [FamilySpec("counter", "a_total", "A."), FamilySpec("gauge", "b", "B."), FamilySpec("histogram", "c", "C.")]
    assert set(_samples(read(map(Family, specs))).values()) == {0}


@FORMATS
def test_metrics_whose_label_sets_are_still_to_come_are_named(read: Read) -> None:
    metrics = read([Family(FamilySpec("gauge", "a", "A.", ("b",)))])
    assert [(metric.name, metric.samples) for metric in metrics] == [("a", [])]


@given(values=st.dictionaries(st.tuples(LABEL_TEXTS, LABEL_TEXTS), FINITE, max_size=5))
@FORMATS
def test_any_label_text_and_any_number_is_read_back(read: Read, values: dict[tuple[str, str], float]) -> None:
    family = Family(FamilySpec("gauge", "a", "A.", ("b", "c")))
    for labels, number in values.items():
        family.set(labels, number)
    expected = {("a", (("b", b), ("c", c))): number for (b, c), number in values.items()}
    assert _samples(read([family])) == expected


@given(
    bounds=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=5, unique=True).map(sorted),
    observed=st.lists(st.floats(1e-7, 1e7), max_size=20),
)
@FORMATS
def test_buckets_are_read_back_as_what_they_hold(read: Read, bounds: list[float], observed: list[float]) -> None:
    family = Family(FamilySpec("histogram", "a", "A.", (), tuple(bounds)))
    for value in observed:
        family.observe((), value)
    buckets = {
        float(dict(labels)["le"]): count
        for (name, labels), count in _samples(read([family])).items()
        if name == "a_bucket"
    }
    assert buckets == {bound: sum(value <= bound for value in observed) for bound in [*bounds, inf]}


def test_buckets_add_up_to_the_one_that_holds_all() -> None:
    assert cumulative((1.0, 2.0), (1, 0, 4)) == [("1.0", 1), ("2.0", 1), ("+Inf", 5)]
    assert cumulative((), (3,)) == [("+Inf", 3)]
