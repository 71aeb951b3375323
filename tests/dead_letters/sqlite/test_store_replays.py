"""Marks, leases and ends of replays in a store that several share."""

import asyncio
from pathlib import Path

import pytest

from headrace.database.heartbeat import MISSED_HEARTBEATS
from headrace.dead_letters.dead_letter import NewDeadLetter, Replay
from headrace.dead_letters.sqlite_store import CRASH_LIMIT, SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter, ReplayResult
from tests.fakes.dead_letters import ALL, LetterClock, beat, events_in, failed, letter, put_events

pytestmark = pytest.mark.asyncio


async def test_what_is_marked_is_taken_once_oldest_first(
    store: SqliteDeadLetterStore, other: SqliteDeadLetterStore
) -> None:
    await put_events(store, *range(5))
    assert await store.request_replay(DeadLetterFilter(ids=frozenset({1, 2, 3, 4})), rate=10.0) == 4
    assert await store.waiting("shop") == ["price"]
    first = await store.lease("shop", "price", 3)
    second = await other.lease("shop", "price", 3)
    assert [(one.dead_letter.event, one.rate) for one in first] == [("0", 10.0), ("1", 10.0), ("2", 10.0)]
    assert [one.dead_letter.event for one in second] == ["3"]
    assert await store.lease("shop", "price", 3) == []
    assert await store.waiting("shop") == []


async def test_only_letters_of_the_pipeline_and_stage_are_taken(store: SqliteDeadLetterStore) -> None:
    await put_events(store, "a")
    await store.request_replay(ALL)
    assert await store.lease("other", "price", 9) == []
    assert await store.lease("shop", "parse", 9) == []


async def test_the_stages_whose_letters_wait_are_told_each_once(store: SqliteDeadLetterStore) -> None:
    for stage in ("b", "a", "c", "b"):
        await put_events(store, 1, 2, stage=stage)
    await store.request_replay(DeadLetterFilter(stages=frozenset({"a", "b"})))
    await store.put([NewDeadLetter("other", "d", 1, failed(OSError("gone")))])
    await store.request_replay(DeadLetterFilter(pipeline="other"))
    assert await store.waiting("shop") == ["a", "b"]
    assert await store.waiting("other") == ["d"]
    await store.lease("shop", "a", 2)
    assert await store.waiting("shop") == ["b"]


async def test_many_large_letters_go_in_by_pieces(store: SqliteDeadLetterStore) -> None:
    commits: list[str] = []
    await store.writer.run(
        lambda c: c.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    )
    await put_events(store, *("x" * 1_000_000 for _ in range(20)))
    assert store.counts().put == 20
    assert len(commits) == 1 + 4


async def test_what_cannot_be_replayed_is_never_marked(store: SqliteDeadLetterStore) -> None:
    await put_events(store, ("a", 1), {"a": 1}, b"a")
    assert await store.request_replay(ALL) == 2
    assert await store.request_replay(ALL) == 0
    assert await store.count(DeadLetterFilter(is_waiting_for_replay=True)) == 2


async def test_a_mark_is_taken_back_until_a_run_is_at_it(store: SqliteDeadLetterStore) -> None:
    await put_events(store, "a", "b")
    await store.request_replay(ALL)
    await store.lease("shop", "price", 1)
    assert await store.cancel_replay(ALL) == 1
    assert await store.waiting("shop") == []
    (first,) = await store.find(DeadLetterFilter(is_waiting_for_replay=True), 9)
    assert (first.event, first.is_leased) == ('"a"', True)


async def test_a_replay_that_went_through_deletes_its_letter(store: SqliteDeadLetterStore) -> None:
    await put_events(store, "a", "b")
    await store.request_replay(ALL)
    taken = await store.lease("shop", "price", 2)
    await store.acknowledge([ReplayResult(taken[0].replay, is_done=True), ReplayResult(taken[1].replay, is_done=False)])
    (left,) = await store.find(ALL, 9)
    assert (left.event, left.attempts, left.replay_at, left.is_leased) == ('"b"', 2, None, False)


async def test_a_replay_that_failed_at_its_stage_again_is_one_letter_still(
    store: SqliteDeadLetterStore, clock: LetterClock
) -> None:
    await put_events(store, {"sku": "a"})
    await store.request_replay(ALL)
    (taken,) = await store.lease("shop", "price", 1)
    clock.move(5)
    await store.put([letter({"sku": "a"}, error=failed(OSError("still")), replay_of=taken.replay)])
    await store.acknowledge(
        [ReplayResult(taken.replay, is_done=True)]
    )  # it is set aside, so its source need not keep it
    (left,) = await store.find(ALL, 9)
    assert (left.id, left.event, left.attempts, left.at) == (1, '{"sku":"a"}', 2, clock.now)
    assert (left.error_type, left.error, left.replay_at) == ("OSError", "still", None)


async def test_what_came_of_a_replay_and_failed_further_down_is_a_letter_of_its_own(
    store: SqliteDeadLetterStore,
) -> None:
    await put_events(store, "a")
    await store.request_replay(ALL)
    (taken,) = await store.lease("shop", "price", 1)
    await store.put([letter("derived", stage="write", replay_of=taken.replay)])
    await store.acknowledge([ReplayResult(taken.replay, is_done=True)])
    (left,) = await store.find(ALL, 9)
    assert (left.stage, left.event) == ("write", '"derived"')


async def test_the_end_of_a_former_replay_does_nothing_to_the_present_one(store: SqliteDeadLetterStore) -> None:
    await put_events(store, "a")
    await store.request_replay(ALL)
    (first,) = await store.lease("shop", "price", 1)
    await store.put([letter("a", replay_of=first.replay)])
    await store.request_replay(ALL)
    (second,) = await store.lease("shop", "price", 1)
    await store.acknowledge([ReplayResult(first.replay, is_done=True)])
    assert await events_in(store) == ['"a"']
    await store.acknowledge([ReplayResult(second.replay, is_done=True)])
    assert await events_in(store) == []


async def test_a_replay_whose_letter_was_dropped_is_a_new_letter_when_it_fails(store: SqliteDeadLetterStore) -> None:
    await put_events(store, "a")
    await store.request_replay(ALL)
    (taken,) = await store.lease("shop", "price", 1)
    await store.drop(ALL)
    await store.put([letter("a", replay_of=taken.replay)])
    assert [one.id for one in await store.find(ALL, 9)] == [2]


async def test_what_was_taken_and_not_begun_waits_again(store: SqliteDeadLetterStore) -> None:
    await put_events(store, "a")
    await store.request_replay(ALL)
    (taken,) = await store.lease("shop", "price", 1)
    await store.release([taken.replay, Replay(99, 1)])
    (again,) = await store.lease("shop", "price", 1)
    assert (again.dead_letter.event, again.dead_letter.attempts, again.replay.lease) == ('"a"', 1, 2)


async def test_a_store_that_closes_lets_others_go_on(
    store: SqliteDeadLetterStore, other: SqliteDeadLetterStore
) -> None:
    await put_events(store, "a", "b")
    await store.request_replay(ALL)
    await store.lease("shop", "price", 2)
    await store.close()
    assert len(await other.lease("shop", "price", 2)) == 2


async def test_a_cancelled_take_gives_back_what_it_took(store: SqliteDeadLetterStore) -> None:
    await put_events(store, "a")
    await store.request_replay(ALL)
    taking = asyncio.ensure_future(store.lease("shop", "price", 1))
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    for _ in range(2):  # what was taken is told, and then put back
        await store.writer.run(lambda _: None)
    assert await store.waiting("shop") == ["price"]


async def test_what_a_dead_store_was_at_waits_again_and_that_costs_an_attempt(
    store: SqliteDeadLetterStore, other: SqliteDeadLetterStore
) -> None:
    await put_events(store, "a")
    await store.request_replay(ALL)
    await store.lease("shop", "price", 1)  # and says nothing any more
    await beat(other, MISSED_HEARTBEATS)
    assert await other.lease("shop", "price", 1) == []
    await beat(other)
    (taken,) = await other.lease("shop", "price", 1)
    assert taken.dead_letter.attempts == 2


async def test_a_store_that_says_that_it_lives_keeps_what_it_has(
    store: SqliteDeadLetterStore, other: SqliteDeadLetterStore
) -> None:
    await put_events(store, "a")
    await store.request_replay(ALL)
    await store.lease("shop", "price", 1)
    for _ in range(3 * MISSED_HEARTBEATS):
        await beat(store)
        await beat(other)
    assert await other.lease("shop", "price", 1) == []


async def test_what_kills_every_store_that_replays_it_is_not_replayed_for_ever(
    path: Path, clock: LetterClock, other: SqliteDeadLetterStore
) -> None:
    await put_events(other, "poison")
    await other.request_replay(ALL)
    for _ in range(CRASH_LIMIT):
        await other.writer.run(lambda c: c.execute("update headrace_dead_letters set taken_by = 'dead'"))
        await other.writer.run(lambda c: c.execute("insert into headrace_dead_letter_takers values ('dead', 1)"))
        await beat(other, MISSED_HEARTBEATS + 1)
    (left,) = await other.find(ALL, 9)
    assert (left.replay_at, left.is_leased, left.attempts) == (None, False, 1 + CRASH_LIMIT)
    assert await other.request_replay(ALL) == 1
