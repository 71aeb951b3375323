"""A source with a buffer on disk: nothing that it has taken in is lost, also by a kill, and it stays within bounds."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from headrace.config.check.guarantees import guarantees
from headrace.config.files import load_text
from headrace.config.pipeline import Pipeline
from headrace.config.text.findings import ConfigError
from headrace.errors import StartFailed
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.edges.edge import BufferInUse, EdgeLimits
from headrace.stages.edges.edge_stages import ReadEdge, WriteEdge
from headrace.stages.edges.sqlite_log import EventLog
from tests.fakes.failing_stages import Kept
from tests.fakes.free_port import free_port
from tests.fakes.stepping import until

CONFIG: Final = """\
name: buffered
listen: off
stages:
  numbers: {{type: generate, count: {count}, buffer: {{kind: sqlite, path: "{path}"{more}}}}}
  lines: {{type: write_lines, subscribe_to: numbers, path: "{out}", fsync: batch}}
"""

CHILD: Final = """
import asyncio, sys
from headrace.config.pipeline import Pipeline

async def main() -> None:
    async with Pipeline.from_file(sys.argv[1]) as pipeline:
        print("up", flush=True)
        await pipeline.join()

asyncio.run(main())
"""


def config(folder: Path, count: int, more: str = "") -> str:
    return CONFIG.format(count=count, path=folder / "buffer.db", out=folder / "out", more=more)


def numbers(folder: Path) -> list[int]:
    return [json.loads(line) for line in (folder / "out").read_text().splitlines()]


async def run(text: str) -> Any:
    async with Pipeline.from_text(text) as pipeline:
        outcome = await pipeline.join()
    return outcome, pipeline.snapshot()


@pytest.mark.asyncio
async def test_all_go_through_in_order_and_the_file_is_empty_then(tmp_path: Path) -> None:
    outcome, snapshot = await run(config(tmp_path, 5000))
    assert outcome.is_fine
    assert numbers(tmp_path) == list(range(5000))
    (reader,) = [stage for stage in snapshot.stages if stage.name == "numbers.buffer"]
    held = {family.spec.name: family.samples[()] for family in reader.families}
    assert held == {
        "headrace_disk_buffer_events": 0,
        "headrace_disk_buffer_bytes": 0,
        "headrace_disk_buffer_write_failures_total": 0,
    }
    assert await left_in(tmp_path / "buffer.db") == set()


@pytest.mark.asyncio
async def test_a_buffer_that_is_full_holds_its_source_up(tmp_path: Path) -> None:
    outcome, snapshot = await run(config(tmp_path, 3000, ", max_events: 50"))
    assert outcome.is_fine
    assert numbers(tmp_path) == list(range(3000))
    assert all(stage.discarded.get("overflow", 0) == 0 for stage in snapshot.stages)


class Box:
    """A door, a buffer on disk of three events, and a sink that can be held."""

    def __init__(self, folder: Path, when_full: Any, keeps: type[WriteEdge] = WriteEdge) -> None:
        self.log = EventLog(folder / "buffer.db", EdgeLimits(3, 1_000_000))
        self.topology, self.sink = Topology(), Kept()
        self.topology.add("door", Inbox)
        self.topology.add("door.kept", lambda: keeps(self.log, when_full), subscribe_to="door")
        held = StageSettings(demand="accumulate")
        self.topology.add("door.buffer", lambda: ReadEdge(self.log), settings=held)
        self.topology.add("sink", lambda: self.sink, subscribe_to="door.buffer")

    async def fill(self, count: int) -> None:
        await self.topology.start()
        await self.topology.stage("door").emit(range(count))

    def kept(self) -> Any:
        return next(stage for stage in self.topology.snapshot().stages if stage.name == "door.kept")

    async def rest(self, count: int) -> list[object]:
        self.topology.stage("door.buffer").demand("forward")
        await until(lambda: len(self.sink.data) >= count)
        await self.topology.drain()
        return self.sink.data


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("when_full", "left", "reason"),
    [("drop_newest", [0, 1, 2], "overflow"), ("error", [0, 1, 2], "error"), ("drop_oldest", [7, 8, 9], "overflow")],
)
async def test_what_finds_no_room_is_counted_as_said(
    tmp_path: Path, when_full: str, left: list[int], reason: str
) -> None:
    box = Box(tmp_path, when_full)
    await box.fill(10)
    await until(lambda: box.kept().discarded[reason] == 7)
    assert await box.rest(3) == left


@pytest.mark.asyncio
async def test_one_that_blocks_takes_the_rest_once_there_is_room(tmp_path: Path) -> None:
    box = Box(tmp_path, "block")
    await box.fill(10)
    await until(lambda: box.log.events == 3)
    assert await box.rest(10) == list(range(10))


@pytest.mark.asyncio
async def test_an_event_that_is_no_json_fails_alone(tmp_path: Path) -> None:
    box = Box(tmp_path, "block")
    await box.topology.start()
    await box.topology.stage("door").emit([1, object(), float("nan"), "three"])
    assert await box.rest(2) == [1, "three"]
    assert box.kept().discarded["error"] == 2


@pytest.mark.asyncio
async def test_what_is_in_the_file_at_a_drain_comes_again_in_the_next_run(tmp_path: Path) -> None:
    box = Box(tmp_path, "block")
    await box.fill(3)
    await until(lambda: box.log.events == 3)
    await box.topology.drain()
    assert box.sink.data == []
    again = Box(tmp_path, "block")
    await again.topology.start()
    assert await again.rest(3) == [0, 1, 2]


def test_a_killed_run_loses_nothing_that_was_taken_in(tmp_path: Path) -> None:
    file = tmp_path / "buffered.yaml"
    file.write_text(config(tmp_path, 200_000))
    child = subprocess.Popen([sys.executable, "-P", "-c", CHILD, str(file)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child, child.stdout as told:
        assert told.readline() == "up\n"
        while not (tmp_path / "out").exists() or (tmp_path / "out").stat().st_size < 10_000:
            assert child.poll() is None
        (tmp_path / "second.yaml").write_text(config(tmp_path, 0))
        refused = subprocess.run(
            [sys.executable, "-P", "-m", "headrace", "run", str(tmp_path / "second.yaml")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert refused.returncode == 1
        assert f"is in use by another run (process {child.pid}): end that one first, or name another" in refused.stderr
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    before = set(numbers_of(tmp_path / "out"))
    taken = asyncio.run(left_in(tmp_path / "buffer.db"))
    most = max(before | taken)
    assert before | taken == set(range(most + 1))  # all that was taken in is in either, or in both
    file.write_text(config(tmp_path, 0))
    outcome, _ = asyncio.run(run(file.read_text()))
    assert outcome.is_fine
    assert set(numbers_of(tmp_path / "out")) == set(range(most + 1))


@pytest.mark.asyncio
async def test_a_second_run_at_the_same_file_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    first, second = Box(tmp_path, "block"), Box(tmp_path, "block")
    await first.fill(3)
    await until(lambda: first.log.events == 3)
    with pytest.raises(StartFailed, match="is in use by another stage or run of this OS process: end that one"):
        await second.topology.start()
    assert await first.rest(3) == [0, 1, 2]
    third = Box(tmp_path, "block")
    await third.fill(1)
    assert await third.rest(1) == [0]
    assert not first.log.path.with_name("buffer.db.lock").exists()


class Stumbles(WriteEdge):
    """Crashes once, before it keeps anything."""

    has_stumbled = False

    async def handle_events(self, events: list[object]) -> None:
        if not Stumbles.has_stumbled:
            Stumbles.has_stumbled = True
            raise RuntimeError
        await super().handle_events(events)


@pytest.mark.asyncio
async def test_a_stage_that_crashes_does_not_lock_itself_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stumbles, "has_stumbled", False)
    box = Box(tmp_path, "block", Stumbles)
    await box.fill(2)
    await until(lambda: box.kept().restarts == 1)
    await box.topology.stage("door").emit([3])
    assert await box.rest(1) == [3]


class Waits(Consumer[object]):
    """Handles nothing before its gate is opened."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def handle_events(self, events: list[object]) -> None:
        await self.gate.wait()


@pytest.mark.asyncio
async def test_no_other_run_has_the_file_before_the_last_event_is_through(tmp_path: Path) -> None:
    log, sink = EventLog(tmp_path / "buffer.db", EdgeLimits(10, 1000)), Waits()
    topology = Topology()
    topology.add("door", Inbox)
    topology.add("door.kept", lambda: WriteEdge(log, "block"), subscribe_to="door")
    topology.add("door.buffer", lambda: ReadEdge(log), subscribe_to=())
    topology.add("sink", lambda: sink, subscribe_to="door.buffer")
    await topology.start()
    await topology.stage("door").emit([1, 2])
    await until(lambda: topology.snapshot().stages[3].in_flight_events == 2)
    draining = asyncio.ensure_future(topology.drain())
    await until(lambda: [stage.state for stage in topology.snapshot().stages[:3]] == ["completed"] * 3)
    with pytest.raises(BufferInUse):
        await EventLog(log.path, log.bounds).open()
    sink.gate.set()
    assert (await draining).is_fine
    assert await left_in(log.path) == set()


def numbers_of(path: Path) -> list[int]:
    """Return the whole lines."""
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


async def left_in(path: Path) -> set[int]:
    log = EventLog(path, EdgeLimits(10**9, 10**12))
    await log.open()
    entries = await log.take(10**9)
    await log.release()
    return {json.loads(entry.event) for entry in entries}


@pytest.mark.parametrize(
    ("buffer", "code", "message"),
    [
        ("{kind: sqlite}", "missing-key", "a buffer of kind sqlite needs `path:`"),
        ("{path: a.db}", "misplaced-key", "`path` is for a buffer of kind sqlite"),
        ("{kind: sqlite, path: a.db, max_events: 0}", "bad-value", "must be 1 or more for a buffer on disk"),
        ("{kind: disk}", "bad-value", "must be 'memory' or 'sqlite', and is disk"),
    ],
)
def test_a_buffer_that_cannot_be_is_told(buffer: str, code: str, message: str) -> None:
    text = f"stages:\n  a: {{type: generate, buffer: {buffer}}}\n  b: {{type: discard, subscribe_to: a}}\n"
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ={})
    (finding,) = caught.value.findings
    assert (finding.code, finding.line) == (code, 2)
    assert message in finding.message


def test_only_a_source_has_one_on_disk() -> None:
    text = (
        "stages:\n  a: {type: generate}\n"
        "  b: {type: map, subscribe_to: a, set: {n: event}, buffer: {kind: sqlite, path: b.db}}\n"
        "  c: {type: discard, subscribe_to: b}\n"
    )
    with pytest.raises(ConfigError, match="only a source has a buffer on disk"):
        load_text(text, environ={})


def test_a_path_from_a_buffer_on_disk_is_at_least_once(tmp_path: Path) -> None:
    (found,) = guarantees(load_text(config(tmp_path, 1), environ={}))
    assert found.delivery == "at-least-once"
    assert found.why == "events in the buffer of numbers stay on the disk until they are handled"


@pytest.mark.asyncio
async def test_what_is_answered_as_accepted_is_on_disk_by_then(tmp_path: Path) -> None:
    path = tmp_path / "hits.db"
    port = free_port()
    text = (
        "name: hits\nlisten: off\nstages:\n"
        f'  hits: {{type: receive_http, listen: "127.0.0.1:{port}", buffer: {{kind: sqlite, path: "{path}"}}}}\n'
        f'  lines: {{type: write_lines, subscribe_to: hits, path: "{tmp_path / "out"}"}}\n'
    )
    async with Pipeline.from_text(text) as pipeline, httpx2.AsyncClient() as client:
        pipeline.stage("hits.buffer").pause()
        for count in range(1, 31):
            answer = await client.post(f"http://127.0.0.1:{port}/events", json={"n": count})
            assert (answer.status_code, answer.text) == (202, "Accepted: 1.\n")
            assert kept(path) >= count
        pipeline.stage("hits.buffer").resume()


def kept(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("select coalesce(max(id), 0) from headrace_buffer").fetchone()[0])
