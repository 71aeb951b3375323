"""Jobs over HTTP: their metrics, the store's readiness, and registries."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.config.pipeline import Pipeline
from headrace.jobs.job import NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.metrics import COUNT_SECONDS, JobsProbe
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.memory_store import MemoryStore
from tests.console.web.serving import TOKEN, served
from tests.fakes import job_workers as workers
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio

MODULE = "tests.fakes.job_workers"
PATH = "/api/registry/doubles"
JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave `sys.path` as it was: a config puts its folder first."""
    monkeypatch.syspath_prepend(Path.cwd())
    workers.clear_bench()


def pipeline_of() -> Pipeline:
    pipeline = Pipeline.from_text(
        f"jobs: {{store: 'memory:', modules: {MODULE}, queues: {{default: 3}}, "
        f"registries: {{doubles: {{worker: {MODULE}.double}}, texts: {{worker: {MODULE}.times}}}}}}",
        environ={},
    )
    pipeline.is_forever = True
    return pipeline


@asynccontextmanager
async def running(**said: object) -> AsyncIterator[tuple[Pipeline, httpx2.AsyncClient]]:
    pipeline = pipeline_of()
    async with served(pipeline, **said) as client, pipeline:
        yield pipeline, client


async def samples(client: httpx2.AsyncClient) -> dict[tuple[str, ...], float]:
    text = (await client.get("/metrics")).text
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ended(pipeline: Pipeline, count: int) -> Callable[[], bool]:
    jobs = pipeline.jobs
    assert jobs is not None
    return lambda: jobs.metrics.finished() == count


async def test_metrics_say_what_has_ended_and_how_queues_stand() -> None:
    async with running() as (pipeline, client):
        await workers.double.enqueue_many([(1,), (2,)])
        await workers.fail.enqueue("no")
        await until(ended(pipeline, 3))
        assert pipeline.jobs is not None
        await pipeline.jobs.pause("default")
        await pipeline.jobs.insert([NewJob("elixir", queue="theirs")])
        found = await samples(client)
    finished = "headrace_jobs_finished_total"
    assert found[finished, "completed", "default", f"{MODULE}.double"] == 2
    assert found[finished, "failed", "default", f"{MODULE}.fail"] == 1
    assert found[finished, "completed", "default", "other"] == 0
    assert found["headrace_job_duration_seconds_count", "default", f"{MODULE}.double"] == 2
    assert found["headrace_job_queue_wait_seconds_count", "default"] == 3
    assert (found["headrace_queue_limit", "default"], found["headrace_queue_paused", "default"]) == (3, 1)
    assert found["headrace_queue_running", "default"] == 0
    current = "headrace_jobs_current"
    assert (found[current, "default", "completed"], found[current, "default", "retryable"]) == (2, 1)
    assert found[current, "other", "available"] == 1


async def test_the_store_counts_its_jobs_now_and_then_only() -> None:
    time = 0.0
    async with Jobs(MemoryStore(), WorkerCatalogue()) as jobs:
        probe = JobsProbe(jobs, lambda: time)
        assert (await probe.take()).counts == []
        await jobs.insert([NewJob("a")])
        assert (await probe.take()).counts == []
        time = COUNT_SECONDS
        assert len((await probe.take()).counts or ()) == 1


async def test_ready_tells_of_the_store_and_its_queues(tmp_path: Path) -> None:
    async with running() as (_, client):
        answer = await client.get("/ready")
    assert answer.status_code == 200
    assert answer.json()["jobs"] == {
        "store": "open",
        "error": None,
        "queues": [{"queue": "default", "limit": 3, "running": 0, "is_paused": False}],
    }


async def test_ready_is_503_while_the_store_fails(tmp_path: Path) -> None:
    text = f"jobs: {{store: 'sqlite:///{tmp_path}/shop.db'}}"
    pipeline = Pipeline.from_text(text, environ={})
    async with served(pipeline, token=TOKEN) as client:
        stranger = await client.get("/ready")
        friend = await client.get("/ready", headers={"authorization": f"Bearer {TOKEN}"})
    assert (stranger.status_code, friend.status_code) == (503, 503)
    assert stranger.json()["jobs"]["error"] == "the store fails"
    assert "shop.db" in friend.json()["jobs"]["error"]


async def test_a_key_is_put_once_and_got_when_its_work_is_done() -> None:
    async with running() as (pipeline, client):
        before = await client.get(f"{PATH}/7")
        first = await client.put(f"{PATH}/7", headers=JSON, content=b"{}")
        await until(ended(pipeline, 1))
        again = await client.put("/api/registry/doubles/7", headers=JSON)
        after = await client.get("/api/registry/doubles/7")
    assert (before.status_code, before.json()) == (404, {"state": "not found"})
    assert (first.status_code, first.json()["is_conflict"]) == (202, False)
    assert (again.status_code, again.json()) == (200, {"job": first.json()["job"], "is_conflict": True})
    assert (after.status_code, after.json()["value"]) == (200, 14)


async def test_a_key_of_several_arguments_is_an_object_of_them() -> None:
    path = "/api/registry/texts"
    named, short = quote('{"text": "a/b", "count": 2}', safe=""), quote('{"text": "c"}')
    slip = quote('{"text": "c", "cuont": 2}')
    async with running() as (pipeline, client):
        first = await client.put(f"{path}/{named}", headers=JSON)
        plain = await client.put(f"{path}/c", headers=JSON)
        await until(ended(pipeline, 2))
        values = [(await client.get(f"{path}/{key}")).json().get("value") for key in (named, "c")]
        same = await client.put(f"{path}/{short}", headers=JSON)
        bad = await client.put(f"{path}/{slip}", headers=JSON)
    assert (first.status_code, plain.status_code, values) == (202, 202, ["a/ba/b", "c"])
    assert (same.status_code, same.json()["is_conflict"]) == (200, True)
    assert (bad.status_code, "did you mean 'count'?" in bad.json()["error"]) == (422, True)


async def test_work_that_has_not_ended_is_pending() -> None:
    async with running() as (pipeline, client):
        assert pipeline.jobs is not None
        await pipeline.jobs.pause("default")
        await client.put(f"{PATH}/7", headers=JSON)
        answer = await client.get(f"{PATH}/7")
    assert (answer.status_code, answer.json()) == (202, {"state": "pending", "progress": None})


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        (f"{PATH}/7", {}, b"{}", 415),
        (f"{PATH}/7", {"content-type": "text/plain"}, b"{}", 415),
        (f"{PATH}/7", JSON, b"{", 400),
        (f"{PATH}/7", JSON, b"[" * 1024, 400),
        (f"{PATH}/7", JSON, b'{"a": 1}', 422),
        (f"{PATH}/7", JSON, b" " * 2000, 413),
        (f"{PATH}/seven", JSON, b"{}", 422),
        ("/api/registry/trebles/7", JSON, b"{}", 404),
        (f"/api/registry/{MODULE}.double/7", JSON, b"{}", 404),
    ],
)
async def test_what_makes_no_sense_is_refused_in_a_sentence(
    path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    async with running() as (_, client):
        answer = await client.put(path, headers=headers, content=body)
    assert answer.status_code == status
    assert answer.json()["error"]


async def test_who_shows_no_token_neither_puts_nor_gets() -> None:
    async with running(token=TOKEN) as (_, client):
        assert (await client.put(f"{PATH}/7", headers=JSON)).status_code == 401
        assert (await client.get(f"{PATH}/7")).status_code == 401
        assert (await client.put(f"{PATH}/7", headers={**JSON, "authorization": f"Bearer {TOKEN}"})).status_code == 202


async def test_a_page_of_another_host_puts_nothing() -> None:
    async with running() as (_, client):
        assert (await client.put(f"{PATH}/7", headers={**JSON, "host": "evil.example"})).status_code == 421


async def test_the_first_page_names_the_registries() -> None:
    async with running() as (_, client):
        text = (await client.get("/")).text
    assert "/api/registry/NAME/KEY" in text
    assert "doubles" in text


async def test_before_the_run_nothing_is_taken_in() -> None:
    async with served(pipeline_of()) as client:
        assert (await client.put(f"{PATH}/7", headers=JSON)).status_code == 503
        assert (await client.get(f"{PATH}/7")).status_code == 503


async def test_a_run_without_registries_says_that_there_are_none() -> None:
    async with served(Pipeline("shop")) as client:
        answer = await client.get(f"{PATH}/7")
    assert (answer.status_code, answer.json()["error"]) == (
        404,
        "there is no registry of that name under jobs.registries: there are none",
    )
