"""The file of a buffer: what was appended is read once in order, and is there again after a kill until it is done."""

import asyncio
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.database.sqlite_file import SqliteError
from headrace.pipeline.stage.settings import text_size
from headrace.stages.edges.edge import EdgeLimits, NewerBuffer
from headrace.stages.edges.sqlite_log import EventLog
from tests.fakes.elixir_rows import raw

FILES = itertools.count()
WIDE = EdgeLimits(1000, 1_000_000)


def texts(*numbers: int) -> list[str]:
    return [json.dumps(number) for number in numbers]


@pytest.mark.asyncio
async def test_what_is_done_leaves_the_file_and_the_rest_is_read_again_by_the_next_run(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "deep" / "buffer.db", WIDE)
    await log.open()
    await log.append(texts(1, 2, 3, 4))
    first = await log.take(3)
    assert [entry.event for entry in first] == texts(1, 2, 3)
    log.done(first[0].id)
    log.done(first[2].id)
    log.done(first[2].id)  # a second time means nothing
    assert (log.events, log.size_bytes) == (2, 2 * text_size("1"))
    await log.release()
    again = EventLog(log.path, WIDE)
    await again.open()
    assert (again.events, again.size_bytes) == (2, 2 * text_size("1"))
    assert [entry.event for entry in await again.take(10)] == texts(2, 4)
    await again.release()


@given(st.lists(st.integers(0, 400), max_size=30), st.integers(1, 10), st.integers(50, 600))
def test_room_is_for_the_first_ones_that_fit_and_for_one_in_any_case(
    sizes: list[int], most: int, most_bytes: int
) -> None:
    log = EventLog("unused", EdgeLimits(most, most_bytes))
    room = log.room(sizes)
    assert room >= min(1, len(sizes))
    assert room <= most
    assert sum(sizes[:room]) <= most_bytes or room == 1
    if room < len(sizes):
        assert room == most or sum(sizes[: room + 1]) > most_bytes


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["append", "take", "done", "drop", "reopen"]), max_size=25))
def test_each_event_is_read_once_a_run_in_order_and_none_is_lost(tmp_path: Path, words: list[str]) -> None:
    asyncio.run(_obeys(tmp_path / f"{next(FILES)}.db", words))


async def _obeys(path: Path, words: list[str]) -> None:
    log = EventLog(path, WIDE)
    await log.open()
    held: list[str] = []
    taken: list[tuple[int, str]] = []
    number = 0
    for word in words:
        if word == "append":
            new = texts(number, number + 1)
            number += 2
            await log.append(new)
            held += new
        elif word == "take":
            found = await log.take(3)
            unread = [text for text in held if text not in [one for _, one in taken]]
            assert [entry.event for entry in found] == unread[:3]
            taken += [(entry.id, entry.event) for entry in found]
        elif word == "done" and taken:
            over, text = taken.pop(0)
            log.done(over)
            held.remove(text)
        elif word == "drop":
            unread = [text for text in held if text not in [one for _, one in taken]]
            dropped = await log.drop_oldest([10**9])
            assert dropped == len(unread)
            held = [text for text in held if text not in unread]
        elif word == "reopen":
            await log.release()
            log = EventLog(path, WIDE)
            await log.open()
            taken = []
        assert log.events == len(held)
        assert log.size_bytes == sum(map(text_size, held))
    await log.release()


@pytest.mark.asyncio
async def test_a_file_of_a_newer_headrace_is_refused(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "buffer.db", WIDE)
    await log.open()
    await log.release()
    raw(log.path, "insert into headrace_buffer_schema values (99)")
    with pytest.raises(NewerBuffer, match="has version 99, and this headrace knows 1: install the newer one"):
        await EventLog(log.path, WIDE).open()


@pytest.mark.asyncio
async def test_a_file_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SqliteError):
        await EventLog(tmp_path / "file" / "buffer.db", WIDE).open()
