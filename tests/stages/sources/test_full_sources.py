"""Sources whose buffer is full: each does what its config says, and whoever can be told is told."""

import asyncio
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.config.files import load_text
from headrace.config.pipeline import Pipeline
from headrace.config.text.findings import ConfigError
from headrace.errors import BufferFull
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.snapshot import StageSnapshot
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sources.generate import Generate, GenerateOptions
from headrace.stages.sources.read_lines import ReadLines, ReadLinesOptions
from headrace.stages.sources.receive_statsd import ReceiveStatsd, ReceiveStatsdOptions
from headrace.stages.sources.tick import Tick, TickOptions
from tests.fakes.failing_stages import Kept
from tests.fakes.flow_stages import Collect, Gated
from tests.fakes.free_port import free_port
from tests.fakes.jumping import jumped, when
from tests.fakes.stepping import settled, until

BLOCK = StageSettings(buffer_size=2, buffer_keep="all")


def pipeline(source: str, buffer: str) -> Pipeline:
    text = f"""\
name: full
listen: off
stages:
  in: {{type: {source}, buffer: {buffer}, dispatcher: demand}}
  out: {{type: discard, subscribe_to: {{stage: in, max_demand: 1, min_demand: 0}}}}
"""
    return Pipeline.from_text(text)


async def held(text: str, buffer: str) -> tuple[Pipeline, Gated]:
    """Start a pipeline whose only consumer holds its first event."""
    made, gated = pipeline(text, buffer), Gated()
    made.replace("out", lambda: gated)
    await made.start()
    return made, gated


def first(made: Pipeline) -> StageSnapshot:
    return made.snapshot().stages[0]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("buffer", "statuses", "left"),
    [
        ("{max_events: 2}", [202, 202, 202, 429], [0, 1, 2]),
        ("{max_events: 2, when_full: block}", [202, 202, 202, 429], [0, 1, 2]),
        ("{max_events: 2, when_full: error}", [202, 202, 202, 429], [0, 1, 2]),
        ("{max_events: 2, when_full: drop_oldest}", [202] * 4, [0, 2, 3]),
        ("{max_events: 2, when_full: drop_newest}", [202] * 4, [0, 1, 2]),
        ("{max_bytes: 66B}", [202, 202, 202, 429], [0, 1, 2]),
        ("{max_bytes: 66B, when_full: error}", [202, 202, 202, 429], [0, 1, 2]),
        ("{max_bytes: 66B, when_full: drop_oldest}", [202] * 4, [0, 2, 3]),
    ],
)
async def test_a_sender_is_turned_away_or_what_it_sent_is_dropped(
    buffer: str, statuses: list[int], left: list[int]
) -> None:
    port = free_port()
    made, gated = await held(f"receive_http, listen: '127.0.0.1:{port}'", buffer)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        found = []
        for number in range(4):
            found.append((await client.post("/events", json=number)).status_code)
            if not number:
                await gated.entered.wait()
    assert found == statuses
    dropped = statuses.count(202) - len(left)
    assert first(made).discarded["overflow"] == dropped
    gated.gate.set()
    outcome = await made.drain()
    assert (outcome.events_lost, outcome.events_failed) == (dropped, 0)
    assert gated.events == left


@pytest.mark.asyncio
async def test_a_door_says_that_it_is_full_where_the_config_says_error() -> None:
    made, gated = await held("emit", "{max_events: 1, when_full: error}")
    door = made.stage("in")
    await door.emit([1])
    await gated.entered.wait()
    await door.emit([2])
    with pytest.raises(BufferFull):
        await door.emit([3])
    gated.gate.set()
    assert (await made.drain()).is_fine
    assert gated.events == [1, 2]


@pytest.mark.asyncio
async def test_packets_stay_with_the_kernel_while_the_buffer_is_full() -> None:
    source = ReceiveStatsd(ReceiveStatsdOptions.model_validate({"listen": "127.0.0.1:0"}))
    topology, kept = Topology(), Kept()
    topology.add("source", lambda: source, settings=BLOCK)
    topology.add("kept", lambda: kept, subscribe_to=None)
    await topology.start()
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(20):
            sender.sendto(f"hits:{number}|c".encode(), ("127.0.0.1", source.port))
            if number == 1:
                await until(lambda: topology.stage("source").estimate_buffered_count() == 2)
    await until(lambda: not _is_read(loop, source))
    assert topology.stage("source").estimate_buffered_count() == 2
    topology.stage("kept").subscribe(SubscribeTo("source", max_demand=3))
    await until(lambda: len(kept.data) == 20)
    assert _is_read(loop, source)
    await topology.drain()
    assert [event["value"] for event in kept.data if isinstance(event, dict)] == list(range(20))
    assert topology.snapshot().stages[0].discarded["overflow"] == 0


@pytest.mark.asyncio
async def test_a_burst_of_packets_keeps_the_bound_and_a_drain_takes_it_all() -> None:
    source = ReceiveStatsd(ReceiveStatsdOptions.model_validate({"listen": "127.0.0.1:0"}))
    topology, kept = Topology(), Kept()
    topology.add("source", lambda: source, settings=BLOCK)
    topology.add("kept", lambda: kept, subscribe_to=None)
    await topology.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(200):
            sender.sendto(f"hits:{number}|c".encode(), ("127.0.0.1", source.port))
    await until(lambda: not _is_read(asyncio.get_running_loop(), source))
    assert topology.stage("source").estimate_buffered_count() == 2
    topology.stage("kept").pause()
    topology.stage("kept").subscribe(SubscribeTo("source", max_demand=3))
    assert (await topology.drain()).is_fine
    assert [event["value"] for event in kept.data if isinstance(event, dict)] == list(range(200))


@pytest.mark.asyncio
async def test_what_was_taken_out_of_a_pipe_is_not_lost_by_a_drain(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    topology, gated = Topology(), Gated()
    said = StageSettings(buffer_size=0, buffer_keep="all")
    topology.add("lines", lambda: ReadLines(ReadLinesOptions.model_validate({"path": str(pipe)})), settings=said)
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("lines", max_demand=2, min_demand=1))
    writing = asyncio.create_task(asyncio.to_thread(pipe.write_text, "".join(f"{n}\n" for n in range(50))))
    await topology.start()
    await writing
    await gated.entered.wait()
    draining = asyncio.create_task(topology.drain())
    await settled(topology)
    gated.gate.set()
    assert (await draining).is_fine
    assert gated.events == [str(number) for number in range(50)]


@pytest.mark.asyncio
async def test_what_is_generated_finds_its_room_beside_what_comes_from_outside() -> None:
    topology, gated = Topology(), Gated()
    options = GenerateOptions.model_validate({"count": 30, "rate": "1000/s"})
    topology.add("generate", lambda: Generate(options), settings=StageSettings(buffer_size=5, buffer_keep="all"))
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("generate", max_demand=10, min_demand=5))
    await topology.start()
    await gated.entered.wait()
    handle = topology.stage("generate")
    with suppress(BufferFull):
        while True:
            handle.emit_nowait([-1])  # into the demand that is kept for what the rate holds back, and then the buffer
    outside = handle.estimate_buffered_count()
    assert outside == 5
    await until(lambda: handle.estimate_buffered_count() > 5)  # what it owed came all the same
    gated.gate.set()
    assert (await topology.join()).is_fine
    assert sorted(event for event in gated.events if event != -1) == list(range(30))  # type: ignore[type-var] # numbers
    assert gated.events.count(-1) >= outside


def _is_read(loop: asyncio.AbstractEventLoop, source: ReceiveStatsd) -> bool:
    """Tell whether the loop looks for packets: a loop that is held up by a full buffer must not spin."""
    assert source._socket is not None
    selector: Any = loop._selector  # type: ignore[attr-defined] # only the loop knows
    return source._socket.fileno() in {key.fd for key in selector.get_map().values()}


def test_a_tick_waits_while_the_buffer_is_full_and_makes_up_for_nothing() -> None:
    async def main() -> list[Any]:
        topology, collect = Topology(), Collect()
        loop = asyncio.get_running_loop()
        start = datetime(2026, 11, 24, tzinfo=UTC).timestamp()

        def now() -> datetime:
            return datetime.fromtimestamp(start + loop.time(), UTC)

        topology.add("tick", lambda: Tick(TickOptions.model_validate({"every": "10s"}), now), settings=BLOCK)
        topology.add("collect", lambda: collect, subscribe_to=None)
        await topology.start()
        await when(lambda: loop.time() > 1000)
        assert topology.stage("tick").estimate_buffered_count() == 2
        topology.stage("collect").subscribe("tick")
        await when(lambda: len(collect.events) >= 5)
        assert (await topology.drain()).is_fine
        assert topology.snapshot().stages[0].discarded["overflow"] == 0
        return collect.events

    events = jumped(main())
    assert [event["n"] for event in events] == list(range(len(events)))


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        ("a: {type: generate, buffer: {path: a.db}}", "`path` is for a buffer of kind sqlite"),
        ("a: {type: generate, buffer: {when_full: wait}}", "must be 'block', 'drop_newest', 'drop_oldest' or 'error'"),
        ("a: {type: generate, buffer: {max_bytes: 0B}}", "must be 1 or more"),
        (
            "a: {type: generate, dispatcher: {type: partition, partitions: 2, by: event.n}, buffer: {max_bytes: 1MiB}}",
            "with partitions, events wait in those",
        ),
        *[
            (
                f"a: {{type: filter, where: 'True', subscribe_to: s, buffer: {{{key}}}}}",
                "only a source has to wait",
            )
            for key in ("when_full: block", "when_full: error", "max_bytes: 1MiB")
        ],
    ],
)
def test_a_buffer_that_cannot_be_is_told(stage: str, sentence: str) -> None:
    text = f"stages:\n  s: {{type: generate}}\n  {stage}\n  b: {{type: discard, subscribe_to: [a, s]}}\n"
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    assert any(sentence in finding.message for finding in caught.value.findings)
