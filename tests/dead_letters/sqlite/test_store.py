"""Dead letters in a real file: what was put is kept, and found."""

from datetime import timedelta
from pathlib import Path

import pytest

from headrace.database.sqlite_file import SqliteError
from headrace.dead_letters.dead_letter import EventForm, NewDeadLetter
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter
from tests.fakes.dead_letters import ALL, NOON, LetterClock, events_in, failed, letter, put_events, small_store

pytestmark = pytest.mark.asyncio


async def test_a_letter_that_was_put_is_found_with_all_that_is_known_of_it(store: SqliteDeadLetterStore) -> None:
    error = failed(ValueError("no total"))
    await store.put([NewDeadLetter("shop", "price", {"sku": "a"}, error, attempts=3, metadata={"offset": 7})])
    (found,) = await store.find(ALL, 10)
    assert (found.id, found.pipeline, found.stage) == (1, "shop", "price")
    assert (found.event, found.form, found.is_replayable) == ('{"sku":"a"}', EventForm.JSON, True)
    assert (found.error_type, found.error, found.attempts) == ("ValueError", "no total", 3)
    assert "ValueError: no total" in found.traceback
    assert (found.metadata, found.at, found.replay_at, found.is_leased) == ({"offset": 7}, NOON, None, False)


async def test_what_was_put_is_there_after_the_store_was_opened_again(path: Path, store: SqliteDeadLetterStore) -> None:
    await put_events(store, "a", "b")
    await store.close()
    again = small_store(path)
    await again.open()
    assert await events_in(again) == ['"a"', '"b"']
    assert again.counts().dead_letters == 2
    await again.close()


async def test_a_store_that_is_closed_twice_stays_closed(store: SqliteDeadLetterStore) -> None:
    await store.close()
    await store.close()
    with pytest.raises(SqliteError, match="closed"):
        await put_events(store, "a")


async def test_a_store_that_was_closed_is_opened_again(store: SqliteDeadLetterStore) -> None:
    await put_events(store, "a")
    await store.close()
    await store.open()
    await put_events(store, "b")
    assert await events_in(store) == ['"a"', '"b"']


async def test_letters_are_found_by_stage_error_age_and_id(store: SqliteDeadLetterStore, clock: LetterClock) -> None:
    await put_events(store, "a")
    clock.move(60)
    await store.put([letter("b", stage="parse", error=failed(OSError("gone")))])
    await store.put([NewDeadLetter("other", "price", ("c",), failed(OSError("gone")))])
    assert await events_in(store, DeadLetterFilter(stages=frozenset({"price"}))) == ['"a"', "('c',)"]
    assert await events_in(store, DeadLetterFilter(errors=frozenset({"OSError"}))) == ['"b"', "('c',)"]
    assert await events_in(store, DeadLetterFilter(before=NOON + timedelta(seconds=1))) == ['"a"']
    assert await events_in(store, DeadLetterFilter(pipeline="shop")) == ['"a"', '"b"']
    assert await events_in(store, DeadLetterFilter(ids=frozenset({2, 9}))) == ['"b"']
    assert await events_in(store, DeadLetterFilter(before_id=2)) == ['"a"']
    assert await events_in(store, DeadLetterFilter(is_replayable=False)) == ["('c',)"]
    assert await store.count(DeadLetterFilter(is_replayable=True)) == 2
    assert [one.id for one in await store.find(ALL, 2)] == [3, 2]


async def test_who_only_looks_may_want_the_beginning_of_longevents_in(store: SqliteDeadLetterStore) -> None:
    await put_events(store, "short", "äöü" * 1000)
    long, short = await store.find(ALL, 9, most_characters=8)
    assert (long.event, long.is_shortened, long.is_replayable) == ('"äöüäöüä', True, True)
    assert (short.event, short.is_shortened) == ('"short"', False)


async def test_letters_are_dropped_by_a_filter(store: SqliteDeadLetterStore) -> None:
    await put_events(store, *range(1200))
    await put_events(store, "kept", stage="parse")
    assert await store.drop(DeadLetterFilter(stages=frozenset({"price"}))) == 1200
    assert await events_in(store) == ['"kept"']
    assert store.counts().dead_letters == 1
