"""The metrics that stages declare themselves: their prefix, their labels, and one series for each stage."""

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from headrace.config.pipeline import Pipeline
from headrace.errors import MetricConflict, StartFailed
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sinks.count_metrics import CountMetrics, CountMetricsOptions
from headrace.telemetry.counts import FamilySpec
from tests.console.web.serving import served
from tests.fakes.console_stages import Numbers
from tests.fakes.declared_metrics import declared_metrics

TWO_DEDUPES = """
stages:
  numbers: {type: generate, count: 20, template: {n: "event.n"}}
  fives: {type: dedupe, key: event.n % 5, subscribe_to: numbers}
  twos: {type: dedupe, key: event.n % 2, subscribe_to: fives}
  end: {type: discard, subscribe_to: twos}
"""

COPIES = """
stages:
  numbers: {type: generate, count: 20, template: {n: "event.n"}}
  count: {type: count_metrics, metrics: [{counter: sold_total}], concurrency: 3, partition_by: event.n,
          subscribe_to: numbers}
"""


def test_every_metric_that_a_built_in_stage_declares_has_the_prefix_and_the_labels_of_its_stage() -> None:
    ours = {spec.name: spec for spec in declared_metrics()}
    of_jobs = {name for name in ours if name.startswith("headrace_job")}
    assert {name for name in ours if not name.startswith("headrace_")} == set()
    assert {name for name, spec in ours.items() if {"pipeline", "stage"} & {*spec.labels}} == set()
    assert {name for name, spec in ours.items() if not spec.has_stage_labels} == of_jobs
    assert {spec.name for spec in ours.values() if spec.kind == "counter" and not spec.name.endswith("_total")} == set()
    assert {"headrace_dedupe_keys", "headrace_http_requests_total", "headrace_aggregate_groups"} <= set(ours)


@pytest.mark.asyncio
async def test_two_stages_of_one_type_have_a_series_each() -> None:
    pipeline = Pipeline.from_text(TWO_DEDUPES)
    async with served(pipeline) as client:
        await pipeline.run()
        text = (await client.get("/metrics")).text
    families = [family for family in parse_text(text) if family.name == "headrace_dedupe_keys"]
    (keys,) = families
    found = {sample.labels["stage"]: (sample.labels["pipeline"], sample.value) for sample in keys.samples}
    assert found == {"fives": ("pipeline", 5), "twos": ("pipeline", 2)}


class Discarding(Consumer[object]):
    """Declares nothing."""

    def handle_events(self, events: list[object]) -> None:
        """Drop the events."""


class Declaring(Consumer[object]):
    """Declares one metric."""

    def __init__(self, spec: FamilySpec) -> None:
        self._spec = spec

    def init(self) -> None:
        """Declare it."""
        self.metrics.declare(self._spec)

    def handle_events(self, events: list[object]) -> None:
        """Drop the events."""


def counting(name: str) -> CountMetrics:
    return CountMetrics(CountMetricsOptions.model_validate({"metrics": [{"counter": name}]}))


def gauge(name: str, *labels: str) -> Declaring:
    return Declaring(FamilySpec("gauge", name, "A gauge.", labels))


CLASHES = {
    "counters of two stages": (lambda: counting("sold_total"), lambda: counting("sold_total"), "stage 'one'"),
    "a counter and a gauge": (lambda: counting("sold_total"), lambda: gauge("sold"), "stage 'one'"),
    "gauges with other labels": (lambda: gauge("height"), lambda: gauge("height", "room"), "stage 'one'"),
    "a metric of headrace": (Discarding, lambda: gauge("headrace_stage_stalled"), "headrace itself"),
    "a metric of the OS process": (Discarding, lambda: counting("process_cpu_seconds_total"), "headrace itself"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CLASHES)
async def test_two_metrics_that_need_one_name_end_the_start_and_are_not_merged(case: str) -> None:
    one, other, owner = CLASHES[case]
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(1))
    topology.add("other", other, subscribe_to="numbers")
    topology.add("one", one, subscribe_to="numbers")
    with pytest.raises(StartFailed) as caught:
        await topology.start()
    assert isinstance(caught.value.__cause__, MetricConflict)
    assert (caught.value.__cause__.stage, caught.value.__cause__.other) == ("other", owner)


@pytest.mark.asyncio
async def test_copies_of_a_stage_share_its_metrics() -> None:
    pipeline = Pipeline.from_text(COPIES)
    async with served(pipeline) as client:
        await pipeline.run()
        text = (await client.get("/metrics")).text
    assert "sold_total 20.0" in text.splitlines()
