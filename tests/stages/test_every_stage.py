"""What holds for every stage type that is installed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from threading import Thread

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from headrace.config.pipeline import Pipeline
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.graph import StageKind
from headrace.pipeline.topology.snapshot import StageSnapshot
from tests.console.web.serving import served
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio

TYPES = {point.name: point for point in entry_points(group="headrace.stages")}
OPEN_FILES = Path("/proc/self/fd")
REASONS = {"filtered", "error", "invalid", "overflow", "crash", "cancelled", "late", "duplicate", "sampled", "unrouted"}
BASES: Mapping[StageKind, type] = {
    "producer": Producer,
    "producer_consumer": ProducerConsumer,
    "consumer": Consumer,
}

MODULE = "tests.fakes.job_workers"
WORKER = f"{MODULE}.double"
TABLE = "create table if not exists t (n int)"
ENDLESS = {"receive_http", "receive_statsd", "take_jobs", "emit", "tick"}

OF_SOME = {
    "headrace_stage_input_lost",  # of sources that can lose what they read
    "headrace_pipeline_latency_seconds",  # of consumers, where events end
    "headrace_stage_buffer_bytes",  # of those whose buffer has a bound in bytes
    "headrace_connection_up",  # of those that are connected to something
    "headrace_metric_refused",  # of a user's metric, where there is one
    "headrace_aggregate_groups",  # of those that keep groups
    "headrace_aggregate_windows",
    "headrace_aggregate_closed_early",
    "headrace_batches_flushed",
    "headrace_batch_held_events",
    "headrace_dedupe_keys",
    "headrace_merge_held_events",
    "headrace_delay_held_events",
    "headrace_http_requests",
    "headrace_http_connections",
    "headrace_http_body_bytes",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A stage type at work: its options in a config, and how many of the events offered to it get through."""

    options: str
    passed: int = 10
    output: str = ""


CASES = {
    "read_lines": Case("path: '{file}', decode: json"),
    "generate": Case("count: 10"),
    "receive_http": Case("listen: '127.0.0.1:0'", passed=0),
    "receive_statsd": Case("listen: '127.0.0.1:0'", passed=0),
    "map": Case("set: {{n: event.n}}"),
    "filter": Case("where: event.n % 2 == 0", passed=5),
    "count_metrics": Case("metrics: [{{counter: n_total}}]"),
    "write_lines": Case("path: '{out}'"),
    "send_http": Case("url: '${{PEER}}'"),
    "show": Case("limit: 1"),
    "discard": Case(""),
    "take_jobs": Case("queue: taken", passed=0),
    "aggregate": Case("window: {{count: 1}}, values: {{sum: {{sum: event.n}}}}"),
    "batch": Case("max_events: 1"),
    "dedupe": Case("key: event.n % 5", passed=5),
    "delay": Case("time: 1ms"),
    "flat_map": Case("each: '[event.n]'"),
    "route": Case("outputs: {{low: event.n < 5}}, default: discard", passed=5, output="low"),
    "merge": Case("order_by: event.n"),
    "sample": Case("every: 5", passed=2),
    "throttle": Case("rate: 10000/s"),
    "validate": Case("schema: {{type: object, required: [n]}}"),
    "emit": Case("", passed=0),
    "read_sql": Case("database: 'sqlite:///{file}.db', query: select 1 as n", passed=1),
    "write_sql": Case(f"database: 'sqlite:///{{out}}.db', table: t, columns: {{{{n: event.n}}}}, setup: {TABLE}"),
    "tick": Case("every: 1h", passed=0),
    "run_jobs": Case(f"worker: {WORKER}, args: {{{{number: event.n}}}}"),
    "registry_add": Case(f"worker: {WORKER}, key: event.n"),
    "registry_find": Case(f"worker: {WORKER}, key: event.n"),
    "enqueue_jobs": Case(f"worker: {WORKER}, args: {{{{number: event.n}}}}"),
}


@pytest.fixture(scope="module", autouse=True)
def peer() -> Iterator[None]:
    """Serve whoever sends, at the URL that the variable PEER holds."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = Thread(target=server.serve_forever)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEER", f"http://127.0.0.1:{server.server_port}/")
        yield
    server.shutdown()
    server.server_close()
    thread.join()


class Taking(BaseHTTPRequestHandler):
    """Takes what is sent, and says nothing of it in the log."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def stage_class(point: EntryPoint) -> type:
    found = point.load()
    assert isinstance(found, type)
    return found


def kind_of(name: str) -> StageKind:
    found = stage_class(TYPES[name])
    return next(kind for kind, base in BASES.items() if issubclass(found, base))


def config_of(name: str, folder: Path) -> str:
    """Write a config in which the stage `it` of that type does its work."""
    (folder / "in").write_text("".join(f'{{"n": {n}}}\n' for n in range(10)))
    (folder / "in.db").touch()
    options = CASES[name].options.format(file=folder / "in", out=folder / "out")
    it = f"type: {name}" + (f", {options}" if options else "")
    return f"jobs: {{store: 'memory:', modules: {MODULE}, queues: {{default: 10}}}}\n{stages_of(name, it)}"


def stages_of(name: str, it: str) -> str:
    if kind_of(name) == "producer":
        return f"stages:\n  it: {{{it}}}\n  end: {{type: discard, subscribe_to: it}}"
    source = '{type: generate, count: 10, template: {n: "event.n"}}'
    taken = CASES[name].output and f", output: {CASES[name].output}"
    end = (
        f"\n  end: {{type: discard, subscribe_to: {{stage: it{taken}}}}}"
        if kind_of(name) == "producer_consumer"
        else ""
    )
    return f"stages:\n  source: {source}\n  it: {{{it}, subscribe_to: source}}{end}"


async def ended(pipeline: Pipeline, name: str) -> StageSnapshot:
    """Run a pipeline to its end, or drain it once it runs where it has none; return what its stage `it` counted."""
    await pipeline.start()
    if name not in ENDLESS:
        await pipeline.join()
    await pipeline.drain()
    assert pipeline.outcome().is_fine
    return next(stage for stage in pipeline.snapshot().stages if stage.name == "it")


def shape(stage: StageSnapshot) -> dict[str, type]:
    """Return what is counted for a stage, and as what; bytes are only where a buffer has a bound in bytes."""
    found = {field.name: type(getattr(stage, field.name)) for field in fields(stage)}
    del found["buffer_bytes"]
    return found


async def test_every_type_has_a_case_here() -> None:
    assert set(CASES) == set(TYPES)


@pytest.mark.parametrize("name", CASES)
async def test_a_type_declares_its_options_and_its_discards(name: str) -> None:
    found = stage_class(TYPES[name])
    options: type[BaseModel] = found.Options  # type: ignore[attr-defined] # what makes a stage class a type
    assert options.model_config.get("extra") == "forbid"
    assert options.model_config.get("frozen") is True
    assert all(field.description for field in options.model_fields.values())
    assert options.model_json_schema()["additionalProperties"] is False
    assert REASONS.issuperset(found.known_discards)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", CASES)
async def test_every_type_counts_the_same_and_forgets_no_event(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stage = await ended(Pipeline.from_text(config_of(name, tmp_path)), name)
    kind = kind_of(name)
    plain = Pipeline.from_text(config_of({"producer": "generate", "consumer": "discard"}.get(kind, "map"), tmp_path))
    assert shape(stage) == shape(await ended(plain, "generate"))
    assert set(stage.discarded) >= {"overflow", "error", "crash", "cancelled"}
    assert REASONS.issuperset(stage.discarded)
    passed = CASES[name].passed
    if kind == "producer":
        assert (stage.events_received, stage.events_sent) == (0, passed)
    elif kind == "consumer":
        assert (stage.events_received, stage.events_sent) == (10, 0)
    else:
        assert stage.events_received == 10 == stage.events_sent + sum(stage.discarded.values())
        assert stage.events_sent == passed
    assert capfd.readouterr().err == ""


async def names_of_metrics(pipeline: Pipeline, name: str) -> set[str]:
    """Return the names of headrace's own metrics that carry the stage `it`, as a scrape reads them."""
    async with served(pipeline) as client:
        await ended(pipeline, name)
        text = (await client.get("/metrics")).text
    return {
        sample.name
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("stage") == "it" and family.name not in OF_SOME
    }


async def test_every_type_has_the_same_metrics(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = {name: await names_of_metrics(Pipeline.from_text(config_of(name, tmp_path)), name) for name in CASES}
    assert found == dict.fromkeys(CASES, found["map"])
    assert "headrace_stage_events_received_total" in found["map"]


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="this system does not say which files are open")
@pytest.mark.parametrize("name", CASES)
async def test_nothing_of_a_type_stays_open(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    await ended(Pipeline.from_text(config_of(name, tmp_path)), name)
    before = open_files()
    await ended(Pipeline.from_text(config_of(name, tmp_path)), name)
    await until(lambda: open_files() <= before)


def open_files() -> int:
    return len(list(OPEN_FILES.iterdir()))
