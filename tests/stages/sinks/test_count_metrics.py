"""Events are counted in the user's metrics, each in all of them or in none."""

import logging
import math
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from headrace.stages.sinks.count_metrics import CountMetrics, CountMetricsOptions
from headrace.telemetry.counts import Family
from headrace.telemetry.prometheus import collect
from tests.stages.runs import Ran, run_events

pytestmark = pytest.mark.asyncio

NAMES = st.sampled_from(["a", "b", "é", "", None])
EVENTS = st.lists(st.fixed_dictionaries({"name": NAMES, "size": st.integers(0, 20) | st.sampled_from([0.5, 2.25])}))


def count_metrics(*metrics: dict[str, object]) -> CountMetrics:
    return CountMetrics(CountMetricsOptions.model_validate({"metrics": metrics}))


def text(value: object) -> str:
    return "" if value is None else str(value)


def exported(ran: Ran) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return all samples as they stand in the exposition, read back by prometheus_client."""

    class Shown(Collector):
        def collect(self) -> object:  # type: ignore[override] # prometheus_client wants its own class, and takes any
            return collect(family for stage in ran.stages for family in stage.families)

    registry = CollectorRegistry()
    registry.register(Shown())
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@given(events=EVENTS, max_demand=st.integers(1, 5))
async def test_the_numbers_are_those_of_plain_python(events: list[dict[str, object]], max_demand: int) -> None:
    ran = await run_events(
        events,
        count_metrics(
            {"counter": "n_total", "labels": {"name": "event.name"}},
            {"counter": "size_total", "labels": {"name": "event.name"}, "value": "event.size"},
            {"counter": "all_total"},
            {"counter": "sum_total", "value": "event.size"},
            {"gauge": "last", "labels": {"name": "event.name"}, "value": "event.size"},
            {"histogram": "sizes", "value": "event.size", "buckets": [1, 10]},
        ),
        max_demand=max_demand,
    )
    sums: dict[tuple[str, ...], float] = defaultdict(int)
    last: dict[tuple[str, ...], object] = {}
    sizes = [size for event in events if isinstance(size := event["size"], int | float)]
    for event, size in zip(events, sizes, strict=True):
        sums[(text(event["name"]),)] += size
        last[(text(event["name"]),)] = size
    assert ran.family("n_total").samples == Counter((text(event["name"]),) for event in events)
    assert ran.family("size_total").samples == sums
    assert ran.family("all_total").samples == {(): len(events)}
    assert ran.family("sum_total").samples == {(): sum(sizes)}
    assert ran.family("last").samples == last
    tally = ran.family("sizes").tallies[()]
    assert tally.counts() == (
        sum(size <= 1 for size in sizes),
        sum(1 < size <= 10 for size in sizes),
        sum(size > 10 for size in sizes),
    )
    assert ran.outcome.is_fine


async def test_metrics_are_exported_under_their_names_with_the_users_labels_alone() -> None:
    ran = await run_events(
        [{"country": "fr", "total": 5}, {"country": "de", "total": 20}, {"country": "fr", "total": 7}],
        count_metrics(
            {"counter": "shop_euros_total", "labels": {"country": "event.country"}, "value": "event.total"},
            {"gauge": "shop_last_euros", "value": "event.total", "labels": {"zone": "'eu'"}},
            {"histogram": "shop_prices", "value": "event.total", "buckets": [10]},
            {"counter": "shop_untouched_total"},
        ),
    )
    assert exported(ran) == {
        ("shop_euros_total", (("country", "fr"),)): 12,
        ("shop_euros_total", (("country", "de"),)): 20,
        ("shop_last_euros", (("zone", "eu"),)): 7,
        ("shop_prices_bucket", (("le", "10.0"),)): 2,
        ("shop_prices_bucket", (("le", "+Inf"),)): 3,
        ("shop_prices_count", ()): 3,
        ("shop_prices_sum", ()): 32,
        ("shop_untouched_total", ()): 3,
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [("x", "x"), (None, ""), (True, "true"), (5, "5"), (2.5, "2.5"), ("é\n", "é\n"), ("\ud800", "?"), ([1], "[1]")],
)
async def test_label_values_become_text(value: object, shown: str) -> None:
    ran = await run_events([{"v": value}], count_metrics({"counter": "n_total", "labels": {"v": "event.v"}}))
    assert exported(ran) == {("n_total", (("v", shown),)): 1}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (-1, "is below 0, and a counter only goes up"),
        ("5", "is text: write float() around it"),
        (True, "is of type bool, and must be a number"),
        (None, "is of type NoneType, and must be a number"),
        (math.nan, "is not finite"),
        (math.inf, "is not finite"),
        (10**400, "is not finite"),
    ],
)
async def test_an_event_whose_value_is_no_number_for_a_counter_is_counted_in_none(
    value: object, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    events = [{"v": 1}, {"v": value}, {"v": 2}]
    ran = await run_events(events, count_metrics({"counter": "n_total"}, {"counter": "v_total", "value": "event.v"}))
    assert ran.family("n_total").samples == {(): 2}
    assert ran.family("v_total").samples == {(): 3}
    assert ran.outcome.events_failed == 1
    assert ran.stages[1].discarded["error"] == 1
    assert f"BadValue: the value of v_total {why}" in caplog.text


@pytest.mark.parametrize("value", [Decimal("0.5"), Fraction(1, 2), 0.5])
async def test_any_number_will_do(value: object) -> None:
    ran = await run_events([{"v": value}, {"v": 1}], count_metrics({"counter": "v_total", "value": "event.v"}))
    assert ran.family("v_total").samples == {(): 1.5}


async def test_large_finite_numbers_do_not_spoil_each_other() -> None:
    ran = await run_events([1e308, 1e308, 1], count_metrics({"gauge": "v", "value": "event"}))
    assert ran.family("v").samples == {(): 1}
    assert ran.outcome.is_fine


async def test_a_gauge_and_a_histogram_may_go_below_0() -> None:
    ran = await run_events(
        [-5, -2], count_metrics({"gauge": "g", "value": "event"}, {"histogram": "h", "value": "event", "buckets": [-3]})
    )
    assert ran.family("g").samples == {(): -2}
    assert ran.family("h").tallies[()].counts() == (1, 1)


async def test_an_event_that_one_metric_cannot_read_is_counted_in_none() -> None:
    events: list[object] = [{"a": 1, "b": 1}, {"a": 1}, {"b": 1}, {"a": 1, "b": 1}]
    ran = await run_events(
        events,
        count_metrics({"counter": "a_total", "value": "event.a"}, {"counter": "b_total", "labels": {"b": "event.b"}}),
    )
    assert ran.family("a_total").samples == {(): 2}
    assert ran.family("b_total").samples == {("1",): 2}
    assert ran.stages[1].errors == {"MissingFieldError": 2}


def refused(family: Family) -> tuple[int, int]:
    return len(family.samples) + len(family.tallies), family.refused


@pytest.mark.parametrize("max_demand", [1, 1000])
async def test_a_label_that_explodes_is_bounded_counted_and_said_once(
    max_demand: int, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {"who": "event % 8"}
    ran = await run_events(
        range(80),
        count_metrics(
            {"counter": "a_total", "labels": labels, "limit": 5},
            {"counter": "b_total", "labels": labels, "limit": 5, "value": 2},
            {"histogram": "h", "labels": labels, "limit": 5, "value": 1},
        ),
        max_demand=max_demand,
    )
    assert [refused(ran.family(name)) for name in ("a_total", "b_total", "h")] == [(6, 30)] * 3
    assert ran.family("a_total").samples == {**{(str(who),): 10 for who in range(5)}, ("other",): 30}
    assert ran.family("b_total").samples == {**{(str(who),): 20 for who in range(5)}, ("other",): 60}
    assert ran.family("h").tallies["other",].sum == 30
    assert ran.outcome.is_fine
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 3
    assert (
        "the metric a_total reached its limit of 5 label sets; samples of further ones are counted with `other`"
        in said[0]
    )


async def test_a_gauges_refused_samples_are_counted_one_by_one() -> None:
    ran = await run_events(
        [0, 1, 1, 1], count_metrics({"gauge": "g", "labels": {"who": "event"}, "limit": 1, "value": 5})
    )
    assert refused(ran.family("g")) == (1, 3)
