"""A followed file is rotated again and again while a slow stage keeps its reader behind: no line of it is missing.

`make chaos` rotates 20 times in 5 s, compresses what is older, and has the reader go on meanwhile.
"""

import asyncio
import gzip
import os
import threading
import time
from pathlib import Path
from typing import Final

import pytest

from headrace.pipeline.message import Message
from headrace.stages.files import followed_file
from headrace.stages.sources.read_lines import ReadLines, ReadLinesOptions
from headrace.stages.transforms.throttle import Throttle, ThrottleOptions
from tests.fakes.flow_stages import Gated
from tests.fakes.stepping import until
from tests.stages.runs import chain

IS_CHAOS: Final = "HEADRACE_KILLS" in os.environ
ROTATIONS: Final = 20
STORM_SECONDS: Final = 5.0 if IS_CHAOS else 0.0
LINES: Final = 2000 if IS_CHAOS else 200
"""Written before each rotation."""

KEPT: Final = 3
"""Rotated files that stay as they are; older ones are compressed, and their names go to others."""


@pytest.fixture(autouse=True)
def _short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a replaced file at its end soon."""
    monkeypatch.setattr(followed_file, "LINGER_SECONDS", 0.01)


class Log:
    """A log that is rotated as logrotate does it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app.log"
        self.written = 0
        self.write()

    def write(self) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{number} {'x' * 100}\n" for number in range(self.written, self.written + LINES))
        self.written += LINES

    def write_late(self, text: str) -> None:
        """Write to the file that was replaced last."""
        with Path(f"{self.path}.1").open("a") as file:
            file.write(text)

    def rotate(self) -> None:
        rotated = [path for path in self.path.parent.glob("app.log.*") if path.suffix != ".gz"]
        for path in sorted(rotated, key=lambda path: -int(path.suffix[1:])):
            path.rename(path.with_suffix(f".{int(path.suffix[1:]) + 1}"))
        self.path.rename(f"{self.path}.1")
        self.write()

    def compress(self) -> None:
        oldest = Path(f"{self.path}.{KEPT + 1}")
        if oldest.exists():
            Path(f"{oldest}-{self.written}.gz").write_bytes(gzip.compress(oldest.read_bytes()))
            oldest.unlink()

    def storm(self) -> None:
        begin = time.monotonic()
        for number in range(ROTATIONS):
            due = begin + number * STORM_SECONDS / ROTATIONS
            while time.monotonic() < due:
                threading.Event().wait(0.01)
            if STORM_SECONDS:
                self.compress()  # what was rotated before the last look
            self.rotate()


def read_lines(log: Log, **options: object) -> ReadLines:
    return ReadLines(ReadLinesOptions.model_validate({"path": str(log.path), "follow": True, **options}))


def numbers(events: list[object]) -> list[int]:
    lines = (event.data if isinstance(event, Message) else event for event in events)
    return [int(str(line).split()[0]) for line in lines]


@pytest.mark.asyncio
async def test_no_line_is_lost_when_a_file_is_rotated_often_and_its_reader_is_behind(tmp_path: Path) -> None:
    log = Log(tmp_path)
    slow = Throttle(ThrottleOptions.model_validate({"rate": f"{LINES * 3}/s"}))
    topology, collect = chain(read_lines(log, checkpoint=str(tmp_path / "at")), *([slow] if IS_CHAOS else []))
    async with topology:
        await until(lambda: bool(collect.events))
        storm = asyncio.get_running_loop().run_in_executor(None, log.storm)
        await storm
        await until(lambda: len(collect.events) >= log.written)
    assert numbers(collect.events) == list(range(log.written))
    assert topology.outcome().is_fine


@pytest.mark.asyncio
async def test_three_rotations_while_the_next_stage_waits_lose_no_file(tmp_path: Path) -> None:
    log, gated = Log(tmp_path), Gated()
    topology, _ = chain(read_lines(log), gated, max_demand=10)
    async with topology:
        await gated.entered.wait()
        for _ in range(3):
            log.rotate()
        gated.gate.set()
        await until(lambda: len(gated.events) == log.written)
    assert numbers(gated.events) == list(range(log.written))
    assert topology.outcome().is_fine


@pytest.mark.asyncio
async def test_a_file_that_is_cut_unread_and_not_copied_fails_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, gated = Log(tmp_path), Gated()
    for _ in range(20):  # much more than what is read ahead
        log.write()
    size = log.path.stat().st_size
    topology, _ = chain(read_lines(log), gated, max_demand=10)
    async with topology:
        await gated.entered.wait()
        log.path.write_text("new\n")
        gated.gate.set()
        await until(lambda: "new" in gated.events)
    outcome = topology.outcome()
    assert not outcome.is_fine
    assert outcome.input_lost["files"] == 1
    assert 0 <= outcome.input_lost["bytes"] < size
    assert "app.log was cut when" in caplog.text


@pytest.mark.asyncio
async def test_what_is_written_late_to_a_file_that_was_replaced_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log(tmp_path)
    topology, collect = chain(read_lines(log))
    async with topology:
        log.rotate()
        await until(lambda: len(collect.events) == log.written)
        log.write_late("late\n")
        await until(lambda: "app.log.1 was written to when it had been replaced" in caplog.text)
    assert topology.outcome().input_lost == {"files": 1, "bytes": 5}
