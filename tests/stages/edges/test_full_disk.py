"""A buffer whose disk is full: it waits, loses nothing, takes nothing twice, and says so once."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Final

import httpx2
import pytest
import pytest_asyncio

from headrace.config.pipeline import Pipeline
from headrace.database.sqlite_file import DiskFull
from headrace.stages.edges import sqlite_log as full_disk
from headrace.stages.edges.edge import EdgeLimits
from headrace.stages.edges.sqlite_log import DiskSpace, EventLog
from tests.fakes.free_port import free_port
from tests.fakes.jumping import jumped
from tests.fakes.no_room import no_room
from tests.fakes.stepping import until
from tests.house.tree import ROOT

SMALL_DISK: Final = ROOT / "tests" / "fakes" / "small_disk_child.py"
RECEIVES: Final = """\
name: hits
listen: off
stages:
  hits: {{type: receive_http, listen: "127.0.0.1:{port}", buffer: {{kind: sqlite, path: {folder}/hits.db}}}}
  end: {{type: discard, subscribe_to: hits}}
"""

LIMITED: Final = ("sh", "-c", 'ulimit -f 200; exec "$@"', "sh")
"""Runs a program that can write no file of more than 200 blocks of 512 or 1024 bytes."""

UNSHARE: Final = shutil.which("unshare")


class Full:
    """A log of at most ten events, and how often its disk has refused a write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = self._log()

    def _log(self) -> EventLog:
        return EventLog(self.path, EdgeLimits(10, 1_000_000))

    @property
    def refusals(self) -> int:
        return int(self.log.disk.failures.samples[()])

    async def append(self, *numbers: int) -> None:
        texts = [json.dumps(number) for number in numbers]
        while texts:
            del texts[: await self.log.append(texts)]

    async def take(self, count: int) -> list[int]:
        self.taken = await self.log.take(count)
        return [json.loads(entry.event) for entry in self.taken]

    async def again(self) -> list[int]:
        """Return what the next run finds."""
        self.log = self._log()
        await self.log.open()
        return await self.take(100)

    def in_file(self) -> list[int]:
        with closing(sqlite3.connect(self.path)) as connection:
            return [int(event) for (event,) in connection.execute("select event from headrace_buffer order by id")]


@pytest_asyncio.fixture
async def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Full]:
    monkeypatch.setattr(full_disk, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(full_disk, "LONGEST_PAUSE_SECONDS", 0.001)
    full = Full(tmp_path / "buffer.db")
    await full.log.open()
    yield full
    await full.log.release()


@pytest.mark.asyncio
async def test_events_wait_for_room_and_are_kept_once(full: Full, caplog: pytest.LogCaptureFixture) -> None:
    with no_room():
        appending = asyncio.ensure_future(full.append(1, 2, 3, 4))
        await until(lambda: full.refusals >= 4)
        assert not appending.done()
        assert full.log.events == 0
    await appending
    assert full.log.events == 4
    assert full.in_file() == await full.take(10) == [1, 2, 3, 4]
    begun, over = caplog.messages
    assert begun.startswith(f"the disk under the buffer {full.path} is full (")
    assert begun.endswith("): no more events are stored until there is room")
    assert over.startswith(f"the disk under the buffer {full.path} has room again after ")


@pytest.mark.asyncio
async def test_who_gives_up_waiting_has_kept_nothing(full: Full) -> None:
    with no_room():
        appending = asyncio.ensure_future(full.append(1, 2))
        await until(lambda: full.refusals >= 2)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
    await full.append(3)
    assert full.log.events == 1
    assert full.in_file() == [3]


@pytest.mark.asyncio
async def test_what_is_through_leaves_the_file_once_there_is_room(full: Full) -> None:
    await full.append(1, 2, 3)
    await full.take(2)
    with no_room():
        for entry in full.taken:
            full.log.done(entry.id)
        await until(lambda: full.refusals >= 2)
        assert full.in_file() == [1, 2, 3]
        assert await full.take(1) == [3]  # reading goes on
    await until(lambda: full.in_file() == [3])


@pytest.mark.asyncio
async def test_what_was_to_leave_takes_no_room_beyond_the_bound(full: Full) -> None:
    await full.append(*range(10))
    await full.take(4)
    with no_room():
        for entry in full.taken:
            full.log.done(entry.id)
        appending = asyncio.ensure_future(full.append(10, 11, 12, 13))
        await until(lambda: full.refusals >= 3)
    await appending
    assert full.in_file() == list(range(4, 14))
    assert full.log.events == 10


@pytest.mark.asyncio
async def test_the_oldest_are_dropped_once_there_is_room(full: Full) -> None:
    await full.append(*range(10))
    with no_room():
        dropping = asyncio.ensure_future(full.log.drop_oldest([1, 1]))
        await until(lambda: full.refusals >= 2)
        assert full.log.events == 10
    assert await dropping == 2
    assert full.in_file() == list(range(2, 10))
    assert full.log.events == 8


@pytest.mark.asyncio
async def test_what_cannot_leave_before_the_end_is_said_and_comes_again(
    full: Full, caplog: pytest.LogCaptureFixture
) -> None:
    await full.append(1, 2, 3)
    await full.take(2)
    with no_room():
        full.log.done(full.taken[0].id)
        full.log.done(full.taken[1].id)
        await full.log.release()
        await until(
            lambda: any(f"2 events that are through stay in the buffer {full.path}" in m for m in caplog.messages)
        )
    assert await full.again() == [1, 2, 3]


def test_a_disk_that_is_full_now_and_then_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        disk = DiskSpace(Path("b.db"))
        error = DiskFull(Path("b.db"), "database or disk is full", "make room")
        for _ in range(30):  # full every other second
            disk.refused("append", error)
            await asyncio.sleep(1.0)
            disk.took("append")
            await asyncio.sleep(1.0)
        assert len(caplog.messages) == 2
        pauses = [disk.refused("append", error) for _ in range(10)]
        assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
        disk.refused("delete", error)
        disk.took("append")  # not over: what is through cannot leave
        assert len(caplog.messages) == 3
        disk.took("delete")
        assert "has room again after 0.0 s" in caplog.messages[3]

    jumped(main())


@pytest.mark.skipif(UNSHARE is None, reason="no small disk can be had here without the program unshare")
def test_what_was_answered_with_202_on_a_full_disk_comes_out_once(tmp_path: Path) -> None:
    command = [str(UNSHARE), "-rm", sys.executable, "-P", str(SMALL_DISK), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["is_fine"], ended.stderr
    assert set(told["answers"]) == {"202", "429"}
    assert told["again"] == 202
    assert 0 < told["accepted_while_full"] < len(told["accepted"])
    accepted = {number * 50 + place for number in told["accepted"] for place in range(50)}
    assert sorted(told["lines"]) == sorted(accepted)
    assert told["left"] == told["restarts"] == 0
    assert ended.stderr.count("is full (database or disk is full)") == 1
    assert ended.stderr.count("has room again after") == 1


def refusals(pipeline: Pipeline) -> float:
    families = [family for stage in pipeline.snapshot().stages for family in stage.families]
    return sum(one.samples[()] for one in families if one.spec.name == "headrace_disk_buffer_write_failures_total")


@pytest.mark.asyncio
async def test_who_waits_for_room_until_the_run_ends_hears_that_nothing_was_kept(tmp_path: Path) -> None:
    port = free_port()
    async with httpx2.AsyncClient() as client:
        pipeline = Pipeline.from_text(RECEIVES.format(port=port, folder=tmp_path))
        await pipeline.start()
        with no_room():
            sending = asyncio.ensure_future(client.post(f"http://127.0.0.1:{port}/events", json={"n": 1}))
            await until(lambda: refusals(pipeline) > 0)
            outcome = await pipeline.drain(0.01)
        assert (await sending).status_code == 500
    assert (outcome.is_fine, outcome.events_failed + outcome.events_lost) == (False, 1)


def test_a_run_that_is_ended_on_a_full_disk_exits_with_1_in_its_time(tmp_path: Path) -> None:
    config = tmp_path / "full.yaml"
    config.write_text(
        "name: full\nlisten: off\nstages:\n"
        f"  lines: {{type: read_lines, path: {tmp_path}/in, buffer: {{kind: sqlite, path: {tmp_path}/buffer.db}}}}\n"
        "  end: {type: discard, subscribe_to: lines}\n"
    )
    (tmp_path / "in").write_text("x" * 400_000)  # so that there never is room for it
    headrace = [sys.executable, "-P", "-m", "headrace", "run", str(config), "--drain-seconds", "0.05"]
    with subprocess.Popen([*LIMITED, *headrace], stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        said = next(line for line in run.stderr if "the disk under the buffer" in line)
        run.send_signal(signal.SIGTERM)
        rest = run.stderr.read()
    assert "is full (" in said
    assert "was not drained after 0.05 s: lines.kept did not end" in rest
    assert run.returncode == 1
