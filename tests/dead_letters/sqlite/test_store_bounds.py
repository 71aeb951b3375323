"""The bounds of a store: the oldest letters go first, and that is said once."""

import logging
import sqlite3
from pathlib import Path

import pytest

from headrace.dead_letters.dead_letter import EventForm
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter, ReplayResult
from tests.fakes.dead_letters import ALL, LetterClock, beat, events_in, failed, letter, put_events, small_store

pytestmark = pytest.mark.asyncio

MISCOUNTED = """select id from headrace_dead_letters where size <> 200 + length(cast(event as blob))
  + length(cast(metadata as blob)) + length(cast(error_type as blob)) + length(cast(error as blob))
  + length(cast(traceback as blob))"""


async def test_the_oldest_go_first_when_there_are_too_many(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = small_store(path, max_events=3)
    await store.open()
    await put_events(store, *range(5))
    await put_events(store, 5)
    assert await events_in(store) == ["3", "4", "5"]
    assert (store.counts().dead_letters, store.counts().put, store.counts().dropped_for_count) == (3, 6, 3)
    (said,) = [record.getMessage() for record in caplog.records if "max_events" in record.getMessage()]
    assert said.startswith(f"the dead letters in {path} are more than max_events: the oldest are dropped")
    await store.close()


async def test_the_oldest_go_first_when_all_are_too_large(path: Path) -> None:
    store = small_store(path, max_size_bytes=100_000)
    await store.open()
    for number in range(40):
        await put_events(store, f"{number}" + "x" * 10_000)
        assert store.counts().size_bytes <= 100_000
    kept = await events_in(store)
    assert [event[1:3] for event in kept] == [str(number) for number in range(40 - len(kept), 40)]
    assert store.counts().dropped_for_size == 40 - len(kept)
    assert store.counts().size_bytes == sum(one.size for one in await store.find(ALL, 100))
    await store.close()


async def test_no_letter_is_so_large_that_it_pushes_all_others_out(path: Path) -> None:
    store = small_store(path, max_size_bytes=100_000)
    await store.open()
    await put_events(store, "small", "x" * 1_000_000)
    small, large = await store.find(ALL, 10, is_newest_first=False)
    assert (small.event, small.form) == ('"small"', EventForm.JSON)
    assert (large.form, large.is_replayable) == (EventForm.CUT, False)
    assert large.event.endswith("… (cut: 1000002 bytes in all)")
    await store.close()


async def test_what_is_too_old_goes_by_itself(
    store: SqliteDeadLetterStore, clock: LetterClock, caplog: pytest.LogCaptureFixture
) -> None:
    await put_events(store, "old")
    clock.move(20 * 86_400)
    await put_events(store, "young")
    clock.move(10 * 86_400 + 1)
    with caplog.at_level(logging.WARNING, logger="headrace"):
        await beat(store)
        await beat(store)
    assert await events_in(store) == ['"young"']
    assert store.counts().dropped_for_age == 1
    assert [record for record in caplog.records if "max_age" in record.getMessage()] == caplog.records[:1]


async def test_a_calendar_that_is_set_forward_drops_nothing_and_one_that_is_set_back_neither(
    store: SqliteDeadLetterStore, clock: LetterClock
) -> None:
    await put_events(store, "a")
    clock.set(365 * 86_400)
    await put_events(store, "b")
    await beat(store)
    clock.set(-2 * 365 * 86_400)
    await put_events(store, "c")
    await beat(store)
    assert await events_in(store) == ['"a"', '"b"', '"c"']


async def test_a_letter_that_failed_again_is_as_young_as_its_last_failure(
    store: SqliteDeadLetterStore, clock: LetterClock
) -> None:
    await put_events(store, "again", "never")
    await store.request_replay(DeadLetterFilter(ids=frozenset({1})))
    clock.move(20 * 86_400)
    (taken,) = await store.lease("shop", "price", 1)
    await store.put([letter("again", replay_of=taken.replay)])
    clock.move(15 * 86_400)
    await beat(store)
    assert await events_in(store) == ['"again"']


async def test_totals_are_right_however_letters_come_and_go(path: Path, store: SqliteDeadLetterStore) -> None:
    await put_events(store, *("x" * size for size in range(50)))
    await store.request_replay(DeadLetterFilter(ids=frozenset(range(1, 11))))
    taken = await store.lease("shop", "price", 10)
    await store.put([letter("y", error=failed(OSError("e" * 500)), replay_of=one.replay) for one in taken[:5]])
    await store.acknowledge([ReplayResult(one.replay, is_done=True) for one in taken])
    await store.drop(DeadLetterFilter(ids=frozenset({40})))
    found = await store.find(ALL, 100)
    assert len(found) == 44
    assert (store.counts().dead_letters, store.counts().size_bytes) == (44, sum(one.size for one in found))
    with sqlite3.connect(path) as connection:
        assert connection.execute(MISCOUNTED).fetchall() == []
    connection.close()
