"""A followed file's checkpoint: what has gone through is not read again, and what has not is."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import StartFailed
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.topology import Topology
from headrace.stages.errors import CannotOpen
from headrace.stages.files import followed_file
from headrace.stages.files import followed_file as followed_progress
from headrace.stages.files.chunks import BEGINNING, Position, ReadProgress
from headrace.stages.files.followed_file import Checkpoint
from headrace.stages.sources.read_lines import ReadLines, ReadLinesOptions
from tests.fakes.stepping import until


@given(st.permutations(list(range(12))))
def test_progress_is_as_far_as_all_before_is_over_and_never_goes_back(order: list[int]) -> None:
    progress = ReadProgress()
    pieces = [progress.begin(Position(1, 1, number)) for number in range(12)]
    over: set[int] = set()
    for number in order:
        over.add(number)
        position = progress.over(pieces[number])
        ahead = next((n for n in range(12) if n not in over), 12)
        if position is not None:
            assert position.offset == ahead - 1
    assert len(progress) == 0


def test_a_checkpoint_is_written_in_the_place_of_the_one_before(tmp_path: Path) -> None:
    checkpoint = Checkpoint(str(tmp_path / "at"))
    assert checkpoint.load() == BEGINNING
    checkpoint.save(Position(1, 2, 3))
    assert Checkpoint(str(tmp_path / "at")).load() == Position(1, 2, 3)
    assert [file.name for file in tmp_path.iterdir()] == ["at"]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"device": 1, "inode": 2, "offset": "x"}', "no json"])
def test_what_is_no_checkpoint_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "at"
    path.write_text(text)
    with pytest.raises(CannotOpen, match="is no checkpoint: name another file in `checkpoint`, or remove it"):
        Checkpoint(str(path)).load()
    assert path.read_text() == text


class Keeps(Consumer[Any]):
    """Keeps what it gets; fails the numbers that it is told."""

    per_event = True
    one_to_one = True

    def __init__(self, *bad: int) -> None:
        self.bad = bad
        self.seen: list[int] = []

    def handle_events(self, events: list[Any]) -> None:
        for position, event in enumerate(events):
            if event in self.bad:
                self.fail_at(position, ValueError(event))
            else:
                self.seen.append(event)


class Followed:
    """A file that grows, and its checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log"
        self.at = folder / "at"
        self.written = 0
        self.path.touch()

    def write(self, count: int) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{number}\n" for number in range(self.written, self.written + count))
        self.written += count

    async def run(self, sink: Keeps, is_over: Callable[[], bool], source: type[ReadLines] = ReadLines) -> RunOutcome:
        options = {"path": str(self.path), "decode": "json", "follow": True, "checkpoint": str(self.at)}
        self.topology = topology = Topology()
        topology.add("source", lambda: source(ReadLinesOptions.model_validate(options)))
        topology.add("sink", lambda: sink, subscribe_to="source")
        await topology.start()
        await until(is_over)
        return await topology.drain()

    async def seen(self, count: int, *bad: int) -> list[int]:
        sink = Keeps(*bad)
        await self.run(sink, lambda: len(sink.seen) >= count)
        return sink.seen

    @property
    def offset(self) -> int:
        return int(json.loads(self.at.read_text())["offset"])


@pytest.fixture(autouse=True)
def _no_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a replaced file at its end at once."""
    monkeypatch.setattr(followed_file, "LINGER_SECONDS", 0.0)


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path)


@pytest.mark.asyncio
async def test_the_next_run_begins_where_all_had_gone_through(followed: Followed) -> None:
    followed.write(5000)
    assert await followed.seen(5000) == list(range(5000))
    assert followed.offset == followed.path.stat().st_size
    followed.write(3)
    assert await followed.seen(3) == [5000, 5001, 5002]


@pytest.mark.asyncio
async def test_a_line_that_has_not_ended_is_read_again_as_a_whole(followed: Followed) -> None:
    followed.write(2)
    with followed.path.open("a") as file:
        file.write("12")
    assert await followed.seen(2) == [0, 1]
    assert followed.offset == 4
    with followed.path.open("a") as file:
        file.write("34\n")
    assert await followed.seen(1) == [1234]


@pytest.mark.asyncio
async def test_an_event_that_failed_holds_the_checkpoint(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    followed.write(3)
    assert await followed.seen(2, 1) == [0, 2]
    assert followed.offset == 0
    assert "stage 'source' keeps its checkpoint before an event that failed" in caplog.text
    assert await followed.seen(3) == [0, 1, 2]
    assert followed.offset == 6


@pytest.mark.asyncio
async def test_a_rotation_begins_the_new_file_and_the_checkpoint_with_it(followed: Followed) -> None:
    followed.write(3)
    sink = Keeps()

    async def rotate() -> None:
        await until(lambda: len(sink.seen) == 3)
        followed.path.rename(followed.path.with_name("log.1"))
        followed.write(2)

    rotating = asyncio.ensure_future(rotate())
    await followed.run(sink, lambda: len(sink.seen) == 5)
    await rotating
    assert followed.offset == followed.path.stat().st_size
    assert sink.seen == [0, 1, 2, 3, 4]
    assert (await followed.run(Keeps(), lambda: True)).is_fine
    followed.write(1)
    assert await followed.seen(1) == [5]


@pytest.mark.asyncio
async def test_a_file_that_was_rotated_meanwhile_is_read_to_its_end_first(followed: Followed) -> None:
    followed.write(3)
    assert await followed.seen(3) == [0, 1, 2]
    followed.write(2)
    followed.path.rename(followed.path.with_name(f"{followed.path.name}.1"))
    assert await followed.seen(2) == [3, 4]
    followed.write(2)
    assert await followed.seen(2) == [5, 6]
    followed.path.rename(followed.path.with_name(f"{followed.path.name}.2"))
    followed.write(1)
    assert await followed.seen(1) == [7]


@pytest.mark.asyncio
async def test_a_file_that_got_any_other_name_meanwhile_is_read_to_its_end_first(followed: Followed) -> None:
    followed.write(3)
    assert await followed.seen(3) == [0, 1, 2]
    followed.write(1)
    followed.path.rename(followed.path.with_name("old"))
    followed.write(1)
    assert await followed.seen(2) == [3, 4]


@pytest.mark.asyncio
async def test_a_file_that_is_gone_since_its_checkpoint_fails_the_run(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.write(3)
    assert await followed.seen(3) == [0, 1, 2]
    followed.path.unlink()
    followed.write(1)
    sink = Keeps()
    outcome = await followed.run(sink, lambda: sink.seen == [3])
    assert (outcome.is_fine, outcome.input_lost) == (False, {"files": 1, "bytes": 0})
    assert "was removed, compressed or cut: all that was written to it after its first 6 bytes is lost" in caplog.text


@pytest.mark.asyncio
async def test_a_file_that_was_cut_and_has_grown_again_is_read_from_its_beginning(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.write(3)
    assert await followed.seen(3) == [0, 1, 2]
    followed.path.write_text("100\n200\n300\n")
    assert await followed.seen(3) == [100, 200, 300]
    assert "was removed, compressed or cut: all that was written to it after its first 6 bytes is lost" in caplog.text


@pytest.mark.asyncio
async def test_what_is_over_is_written_while_the_run_goes_on(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_progress, "SAVE_SECONDS", 0.0)
    followed.write(100)
    sink = Keeps()
    outcome = await followed.run(sink, lambda: followed.at.exists() and followed.offset > 0)
    assert outcome.is_fine


@pytest.mark.asyncio
async def test_a_checkpoint_that_cannot_be_written_refuses_the_start(followed: Followed) -> None:
    followed.at = followed.path / "below"
    with pytest.raises(StartFailed, match="checkpoint"):
        await followed.run(Keeps(), lambda: True)


@pytest.mark.asyncio
async def test_a_second_run_at_the_same_checkpoint_is_refused_until_the_first_has_ended(followed: Followed) -> None:
    followed.write(3)
    sink = Keeps()

    async def try_beside() -> None:
        await until(lambda: len(sink.seen) == 3)
        with pytest.raises(StartFailed, match="at is in use by another stage or run of this OS process: end that one"):
            await followed.run(Keeps(), lambda: True)
        followed.write(1)

    trying = asyncio.ensure_future(try_beside())
    await followed.run(sink, lambda: len(sink.seen) == 4)
    await trying
    assert sorted(file.name for file in followed.at.parent.iterdir()) == ["at", "log"]
    followed.write(1)
    assert await followed.seen(1) == [4]


class Stumbles(ReadLines):
    """Crashes once, when it has read something."""

    has_stumbled = False

    def handle_demand(self, demand: int) -> list[object] | Awaitable[list[object]]:
        if self._events and not Stumbles.has_stumbled:
            Stumbles.has_stumbled = True
            raise RuntimeError
        return super().handle_demand(demand)


@pytest.mark.asyncio
async def test_a_source_that_crashes_does_not_lock_itself_out(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stumbles, "has_stumbled", False)
    followed.write(5000)
    sink = Keeps()
    await followed.run(sink, lambda: len(set(sink.seen)) == 5000, Stumbles)
    assert Stumbles.has_stumbled
    assert followed.offset == followed.path.stat().st_size


class Waits(Keeps):
    """Handles nothing before its gate is opened."""

    per_event = False

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.has_some = False

    async def handle_events(self, events: list[Any]) -> None:  # type: ignore[override] # a stage's may be either
        self.has_some = True
        await self.gate.wait()


@pytest.mark.asyncio
async def test_no_other_run_has_the_checkpoint_before_the_last_line_is_through(followed: Followed) -> None:
    followed.write(3)
    sink = Waits()
    running = asyncio.ensure_future(followed.run(sink, lambda: sink.has_some))
    await until(lambda: sink.has_some)
    first = followed.topology
    await until(lambda: first.snapshot().stages[0].state == "completed")
    with pytest.raises(StartFailed, match="is in use"):
        await followed.run(Keeps(), lambda: True)
    sink.gate.set()
    assert (await running).is_fine
    assert followed.offset == followed.path.stat().st_size
    assert (await followed.run(Keeps(), lambda: True)).is_fine


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"follow": False}, "only a file that is followed has one: add `follow: true`"),
        ({"follow": True, "decode": "csv"}, "it needs lines that stand for themselves"),
    ],
)
def test_a_checkpoint_needs_a_followed_file_of_whole_lines(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ReadLinesOptions.model_validate({"path": "log", "checkpoint": "at", **options})
