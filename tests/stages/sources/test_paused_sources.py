"""Sources that emit by themselves: while they are paused they hand nothing on, and afterwards they go on."""

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import httpx2
import pytest

from headrace.config.pipeline import Pipeline
from headrace.jobs.job import NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.handle import StageHandle
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sources.generate import Generate, GenerateOptions
from headrace.stages.sources.read_lines import ReadLines, ReadLinesOptions
from headrace.stages.sources.receive_http import ReceiveHttp, ReceiveHttpOptions
from headrace.stages.sources.receive_statsd import ReceiveStatsd, ReceiveStatsdOptions
from headrace.stages.sources.take_jobs import TakeJobs, TakeJobsOptions
from headrace.stages.sources.tick import Tick, TickOptions
from tests.console.web.serving import served
from tests.fakes.failing_stages import Kept
from tests.fakes.jumping import jumped, when
from tests.fakes.stepping import settled, until


async def _started(source: Callable[[], Producer[object]]) -> tuple[Topology, StageHandle[Producer[object]], Kept]:
    topology, kept = Topology(), Kept()
    handle = topology.add("source", source)
    topology.add("kept", lambda: kept, subscribe_to="source")
    await topology.start()
    return topology, handle, kept


def _generate() -> Producer[object]:
    return Generate(GenerateOptions.model_validate({"rate": "10/s"}))


def _tick() -> Producer[object]:
    def now() -> datetime:
        return datetime.fromtimestamp(asyncio.get_running_loop().time(), UTC)

    return Tick(TickOptions.model_validate({"every": "100ms"}), now)


@pytest.mark.parametrize("source", [_generate, _tick])
def test_a_timed_source_emits_nothing_while_paused(source: Callable[[], Producer[object]]) -> None:
    async def main() -> tuple[int, int, int]:
        topology, handle, kept = await _started(source)
        await when(lambda: len(kept.data) >= 5)
        handle.pause()
        await settled(topology)
        before = len(kept.data)
        await asyncio.sleep(60)
        while_paused = len(kept.data)
        handle.resume()
        await asyncio.sleep(1)
        after = len(kept.data)
        assert (await topology.drain()).is_fine
        return before, while_paused, after

    before, while_paused, after = jumped(main())
    assert while_paused == before
    assert before + 8 <= after <= before + 21  # one second's, and a bucketful at most


@pytest.mark.asyncio
async def test_a_followed_file_is_not_handed_on_while_paused(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("1\n")
    options = ReadLinesOptions.model_validate({"path": str(path), "follow": True})
    source = ReadLines(options)
    topology, handle, kept = await _started(lambda: source)
    await until(lambda: kept.data == ["1"])
    handle.pause()
    with path.open("a") as file:
        file.write("2\n3\n")
    await until(lambda: source._events == ["2", "3"])
    await settled(topology)
    assert kept.data == ["1"]
    assert topology.snapshot().stages[0].is_paused
    handle.resume()
    await until(lambda: kept.data == ["1", "2", "3"])
    handle.pause()
    assert (await topology.drain()).is_fine


@pytest.mark.asyncio
async def test_senders_are_turned_away_while_paused() -> None:
    source = ReceiveHttp(ReceiveHttpOptions.model_validate({"listen": "127.0.0.1:0"}))
    topology, handle, kept = await _started(lambda: source)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{source.port}") as client:
        handle.pause()
        answer = await client.post("/events", json=1)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        handle.resume()
        assert (await client.post("/events", json=2)).status_code == 202
    assert (await topology.drain()).is_fine
    assert kept.data == [2]


@pytest.mark.asyncio
async def test_packets_stay_with_the_kernel_while_paused() -> None:
    source = ReceiveStatsd(ReceiveStatsdOptions.model_validate({"listen": "127.0.0.1:0"}))
    topology, handle, kept = await _started(lambda: source)
    handle.pause()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hits:1|c", ("127.0.0.1", source.port))
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined] # only the loop knows
    await until(lambda: source._socket is not None and source._socket.fileno() not in selector.get_map())
    assert kept.data == []
    handle.resume()
    await until(lambda: len(kept.data) == 1)
    assert (await topology.drain()).is_fine


@pytest.mark.asyncio
async def test_jobs_are_not_handed_on_while_paused() -> None:
    async with Jobs(MemoryStore(), WorkerCatalogue()) as jobs:
        topology, handle, kept = await _started(lambda: cast("Producer[object]", TakeJobs(TakeJobsOptions(), jobs)))
        handle.pause()
        await jobs.insert([NewJob("a.worker", {"n": 1})])
        await until(lambda: jobs.statistics()["default"].running == 1)
        await settled(topology)
        assert kept.data == []
        handle.resume()
        await until(lambda: len(kept.data) == 1)
        handle.pause()
        assert (await topology.drain()).is_fine


@pytest.mark.asyncio
async def test_a_timed_source_that_is_paused_over_http_stands_still() -> None:
    text = """
stages:
  numbers: {type: generate, rate: 1000/s}
  sink: {type: discard, subscribe_to: numbers}
"""
    pipeline = Pipeline.from_text(text, environ={})
    async with served(pipeline) as client, pipeline:

        def sent() -> int:
            return pipeline.snapshot().stages[0].events_sent

        await until(lambda: sent() > 10)
        assert (await client.post("/api/stages/numbers/pause", json={})).json()["is_paused"]
        before = sent()
        elapsed = asyncio.get_running_loop().time() + 0.05
        await until(lambda: asyncio.get_running_loop().time() > elapsed)
        assert sent() == before
        await client.post("/api/stages/numbers/resume", json={})
        await until(lambda: sent() > before + 10)
