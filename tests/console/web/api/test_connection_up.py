"""A run whose sink or store fails says so to probes and to Prometheus, until it works again."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from headrace.config.pipeline import Pipeline
from headrace.pipeline.failure import Retry
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sinks.show import Show, ShowOptions
from tests.console.web.serving import served
from tests.fakes.flaky_peer import Peer, serving
from tests.fakes.stepping import until

LINES = """
name: shop
stages:
  source: {{type: emit}}
  sink: {{type: write_lines, path: '{path}', retry: {{attempts: 1000000, backoff: 1ms, max_backoff: 1ms}},
          subscribe_to: source}}
"""
SEND = """
name: shop
stages:
  source: {{type: emit}}
  sink: {{type: send_http, url: '{url}', subscribe_to: source}}
"""


@contextmanager
def full_device() -> Iterator[TextIO]:
    """Open a stream for which there is never room, and drop what it still holds at the end."""
    with suppress(OSError), Path("/dev/full").open("w") as stream:
        yield stream


async def connections(client: httpx2.AsyncClient) -> dict[tuple[str, str], float]:
    """Return whether each connection is up, by its stage and kind, as a scrape says."""
    text = (await client.get("/metrics")).text
    return {
        (sample.labels["stage"], sample.labels["connection"]): sample.value
        for family in parse_text(text)
        for sample in family.samples
        if sample.name == "headrace_connection_up"
    }


@pytest.mark.asyncio
async def test_a_sink_on_a_full_disk_makes_the_run_unready_until_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.symlink_to("/dev/full")
    pipeline = Pipeline.from_text(LINES.format(path=path))
    async with served(pipeline) as client:
        await pipeline.start()
        assert await connections(client) == {("sink", "file"): 1}
        await pipeline.stage("source").emit([1])
        await until(lambda: pipeline.snapshot().stages[1].redelivered > 1)
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()["ready"], answer.json()["state"]) == (503, False, "degraded")
        assert "No space left on device" in answer.json()["stages"][1]["connections"][0]["error"]
        assert await connections(client) == {("sink", "file"): 0}
        await pipeline.stop()


@pytest.mark.asyncio
async def test_a_peer_that_answers_with_server_errors_makes_the_run_unready_until_it_takes_an_event() -> None:
    async with serving(Peer(lambda number: ("503", "404", "503", "200")[number - 1])) as url:
        pipeline = Pipeline.from_text(SEND.format(url=url))
        async with served(pipeline) as client:
            await pipeline.start()
            seen = []
            for number in range(4):
                await pipeline.stage("source").emit([number])
                await until(lambda number=number: pipeline.snapshot().stages[1].events_received > number)  # type: ignore[misc] # bound now
                seen.append(((await client.get("/ready")).status_code, (await connections(client))["sink", "peer"]))
            assert seen == [(503, 0), (200, 1), (503, 0), (200, 1)]
            await pipeline.stop()


@pytest.mark.asyncio
async def test_a_stage_that_cannot_write_to_standard_output_says_so() -> None:
    topology = Topology("shop")
    topology.add("source", Inbox)
    with full_device() as full:
        settings = StageSettings(retry=Retry(1_000_000, backoff_seconds=0.001, max_backoff_seconds=0.001))
        show = Show(ShowOptions(), full)
        topology.add("sink", lambda: show, subscribe_to="source", settings=settings)
        async with served(topology) as client:
            await topology.start()
            await topology.stage("source").emit([1])
            await until(lambda: topology.snapshot().stages[1].redelivered > 1)
            assert await connections(client) == {("sink", "file"): 0}
            assert (await client.get("/ready")).status_code == 503
            await topology.stop()
