"""The metrics of a pipeline, parsed back from both formats by prometheus_client's own parsers."""

import asyncio
import math
from collections.abc import Iterable, Mapping

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from headrace.console.web.metrics_endpoint import MetricsExporter
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.telemetry.counts import PROCESS_NAMES, FamilySpec
from tests.fakes.console_stages import Crashing, Evens, Failing, Numbers, Shelf

OPENMETRICS = "application/openmetrics-text"

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

STAGE_METRICS = {
    "headrace_stage_events_received_total": set[str](),
    "headrace_stage_events_sent_total": set[str](),
    "headrace_stage_events_discarded_total": {"reason"},
    "headrace_stage_events_failed_total": set[str](),
    "headrace_stage_errors_total": {"error_type"},
    "headrace_stage_retries_total": set[str](),
    "headrace_stage_dead_lettered_total": set[str](),
    "headrace_stage_stalled": set[str](),
    "headrace_stage_handle_duration_seconds_bucket": {"le"},
    "headrace_stage_handle_duration_seconds_sum": set[str](),
    "headrace_stage_handle_duration_seconds_count": set[str](),
    "headrace_stage_busy_seconds_total": set[str](),
    "headrace_stage_blocked_seconds_total": {"on"},
    "headrace_stage_buffer_events": set[str](),
    "headrace_stage_buffer_limit_events": set[str](),
    "headrace_stage_in_flight_events": set[str](),
    "headrace_stage_restarts_total": set[str](),
}
"""What every stage has, whatever its kind, with the labels that each adds to pipeline, stage and kind."""


def parse_openmetrics(text: str) -> Iterable[Metric]:
    found: Iterable[Metric] = openmetrics_parser.text_string_to_metric_families(text)  # type: ignore[no-untyped-call] # its own lack
    return found


def samples(metrics: Iterable[Metric]) -> Samples:
    """Return all samples, but those of the OS process: they change from one moment to the next."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in metrics
        for sample in metric.samples
        if sample.name not in PROCESS_NAMES
    }


def chain(shelf: Shelf, count: int = 100) -> Topology:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(count))
    topology.add("evens", Evens, subscribe_to="numbers")
    topology.add("shelf", lambda: shelf, subscribe_to="evens")
    return topology


async def scraped(topology: Topology, accept: str = "") -> str:
    exposer = MetricsExporter(topology.snapshot)
    try:
        return (await exposer.scrape(accept)).body.decode()
    finally:
        exposer.close()


async def finished(topology: Topology) -> Topology:
    await topology.start()
    await topology.join()
    return topology


@pytest.mark.asyncio
async def test_both_formats_say_the_same_when_parsed_back() -> None:
    topology = await finished(chain(Shelf()))
    text = samples(parse_text(await scraped(topology)))
    openmetrics = samples(parse_openmetrics(await scraped(topology, OPENMETRICS)))
    clocked = {"headrace_stage_blocked_seconds_total"}
    assert {key: value for key, value in text.items() if key[0] not in clocked} == {
        key: value for key, value in openmetrics.items() if key[0] not in clocked
    }
    assert text.keys() == openmetrics.keys()


@pytest.mark.asyncio
async def test_every_kind_of_stage_has_the_same_metrics() -> None:
    found = samples(parse_text(await scraped(await finished(chain(Shelf())))))
    by_kind: dict[str, dict[str, set[str]]] = {}
    for name, labels in found:
        said = dict(labels)
        if "stage" in said and "kind" in said and "metric" not in said:
            extra = set(said) - {"pipeline", "stage", "kind"}
            by_kind.setdefault(said["kind"], {}).setdefault(name, set()).update(extra)
    assert by_kind == {"producer": STAGE_METRICS, "producer_consumer": STAGE_METRICS, "consumer": STAGE_METRICS}


@pytest.mark.asyncio
async def test_what_went_through_is_counted_at_every_stage_and_edge() -> None:
    found = samples(parse_text(await scraped(await finished(chain(Shelf())))))

    def stage(name: str, stage: str, kind: str, **more: str) -> float:
        labels = {"pipeline": "shop", "stage": stage, "kind": kind, **more}
        return found[name, frozenset(labels.items())]

    def edge(name: str, producer: str, consumer: str) -> float:
        labels = {"pipeline": "shop", "producer": producer, "consumer": consumer}
        return found[name, frozenset(labels.items())]

    assert stage("headrace_stage_events_sent_total", "numbers", "producer") == 100
    assert stage("headrace_stage_events_received_total", "evens", "producer_consumer") == 100
    assert stage("headrace_stage_events_discarded_total", "evens", "producer_consumer", reason="filtered") == 50
    assert stage("headrace_stage_events_sent_total", "evens", "producer_consumer") == 50
    assert stage("headrace_stage_events_received_total", "shelf", "consumer") == 50
    assert edge("headrace_edge_events_total", "numbers", "evens") == 100
    assert edge("headrace_edge_events_total", "evens", "shelf") == 50
    assert edge("headrace_edge_demand_requested_total", "evens", "shelf") >= 50
    assert found["headrace_pipeline_latency_seconds_count", frozenset({("pipeline", "shop"), ("stage", "shelf")})] >= 1


@pytest.mark.asyncio
async def test_known_label_sets_start_at_0() -> None:
    topology = chain(Shelf(), count=0)
    found = samples(parse_text(await scraped(await finished(topology))))
    counters = {key: value for key, value in found.items() if key[0].endswith("_total")}
    clocked = ("headrace_stage_busy_seconds_total", "headrace_stage_blocked_seconds_total")
    asked = "headrace_edge_demand_requested_total"
    assert {value for key, value in counters.items() if key[0] not in (*clocked, asked)} == {0}
    reasons = {dict(labels)["reason"] for name, labels in counters if "discarded" in name}
    assert reasons == {"filtered", "overflow", "error", "crash", "cancelled"}


@pytest.mark.asyncio
async def test_a_buffers_limit_is_infinite_without_one_and_0_where_there_is_no_buffer() -> None:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(1), settings=StageSettings(buffer_size=7))
    topology.add("evens", Evens, subscribe_to="numbers")
    topology.add("shelf", Shelf, subscribe_to="evens")
    found = samples(parse_text(await scraped(await finished(topology))))
    limits = {dict(labels)["stage"]: value for (name, labels), value in found.items() if "buffer_limit" in name}
    assert limits == {"numbers": 7, "evens": math.inf, "shelf": 0}


@pytest.mark.asyncio
async def test_the_bytes_of_a_buffer_are_told_where_they_are_bounded() -> None:
    topology = Topology("shop")
    topology.add("bounded", Inbox, settings=StageSettings(buffer_bytes=1000))
    topology.add("other", Inbox)
    await topology.start()
    await topology.stage("bounded").emit([[1], [2]])
    found = samples(parse_text(await scraped(topology)))
    sizes = {dict(labels)["stage"]: value for (name, labels), value in found.items() if name.endswith("buffer_bytes")}
    assert sizes == {"bounded": 70}
    await topology.stop()


@pytest.mark.asyncio
async def test_errors_are_counted_by_their_class() -> None:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(5))
    topology.add("failing", Failing, subscribe_to="numbers")
    found = samples(parse_text(await scraped(await finished(topology))))
    errors = {
        dict(labels)["error_type"]: value
        for (name, labels), value in found.items()
        if name == "headrace_stage_errors_total" and ("stage", "failing") in labels
    }
    assert errors == {"other": 0, "ValueError": 5}


@pytest.mark.asyncio
async def test_restarts_are_counted() -> None:
    topology = Topology("shop", max_restarts=2)
    topology.add("numbers", lambda: Numbers(5))
    topology.add("crashing", Crashing, subscribe_to=["numbers"])
    found = samples(parse_text(await scraped(await finished(topology))))
    restarts = {dict(labels)["stage"]: value for (name, labels), value in found.items() if "restarts" in name}
    assert restarts["numbers"] == 0
    assert restarts["crashing"] >= 1


@pytest.mark.asyncio
async def test_a_metric_that_a_custom_stage_declares_has_its_own_name_and_the_labels_of_the_stage() -> None:
    text = await scraped(await finished(chain(Shelf())))
    assert 'shelf_events_total{parity="even",pipeline="shop",stage="shelf"} 50.0' in text.splitlines()
    assert "# TYPE shelf_events_total counter" in text.splitlines()
    assert "# HELP shelf_events_total Events on the shelf." in text.splitlines()


@pytest.mark.asyncio
async def test_a_metric_tells_how_often_it_refused_a_label_set() -> None:
    shelf = Shelf()
    topology = chain(shelf, count=0)
    await topology.start()
    family = shelf.metrics.declare(FamilySpec("gauge", "shelf_height", "Height.", ("board",), limit=1))
    accepted = [family.set((str(board),), board) for board in range(3)]
    await topology.join()
    found = samples(parse_text(await scraped(topology)))
    labels = {"pipeline": "shop", "stage": "shelf", "kind": "consumer"}
    refused = {
        name: found["headrace_metric_refused_total", frozenset({**labels, "metric": name}.items())]
        for name in ("shelf_height", "shelf_events_total")
    }
    assert accepted == [True, False, False]
    assert refused == {"shelf_height": 2, "shelf_events_total": 0}


@pytest.mark.asyncio
async def test_two_stages_that_declare_one_metric_have_a_series_each() -> None:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(10), settings=StageSettings(dispatcher="broadcast"))
    for name in ("left", "right"):
        topology.add(name, Shelf, subscribe_to="numbers")
    text = await scraped(await finished(topology), OPENMETRICS)
    found = samples(parse_openmetrics(text))
    of = {("pipeline", "shop"), ("parity", "odd")}
    assert [found["shelf_events_total", frozenset({*of, ("stage", stage)})] for stage in ("left", "right")] == [5, 5]
    assert text.count("# TYPE shelf_events counter") == 1


@pytest.mark.asyncio
async def test_a_scrape_in_the_middle_of_a_run_is_one_moment() -> None:
    shelf = Shelf()
    topology = chain(shelf, count=50_000)
    await topology.start()
    exposer = MetricsExporter(topology.snapshot)
    async with asyncio.TaskGroup() as group:
        joined = group.create_task(topology.join())
        seen = [samples(parse_text((await exposer.scrape("")).body.decode())) for _ in range(5)]
        await joined
    exposer.close()
    for found in seen:
        edge = frozenset({("pipeline", "shop"), ("producer", "numbers"), ("consumer", "evens")})
        stage = {("pipeline", "shop"), ("stage", "evens"), ("kind", "producer_consumer")}
        received = found["headrace_stage_events_received_total", frozenset(stage)]
        in_flight = found["headrace_stage_in_flight_events", frozenset(stage)]
        assert found["headrace_edge_events_total", edge] == received + in_flight
