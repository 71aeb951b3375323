"""Dead letters in a real file: what was put is kept, within bounds, until somebody drops or replays it."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.ground.sqlite_file import SqliteError
from headrace.pipeline.acknowledgement.dead_letter import Form, NewLetter, Replay
from headrace.pipeline.acknowledgement.dead_letters import LetterFilter, Settled
from headrace.pipeline.acknowledgement.errors import NewerDeadLetters
from headrace.pipeline.acknowledgement.sqlite.store import SqliteDeadLetters
from headrace.pipeline.acknowledgement.sqlite.takers import CRASH_LIMIT, MISSED_BEATS
from tests.fakes.letters import NOON, LetterClock, failed, letter, small_store

pytestmark = pytest.mark.asyncio

ALL = LetterFilter()
MISCOUNTED = """select id from headrace_dead_letters where size <> 200 + length(cast(event as blob))
  + length(cast(metadata as blob)) + length(cast(error_type as blob)) + length(cast(error as blob))
  + length(cast(traceback as blob))"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "dead.db"


@pytest.fixture
def clock() -> LetterClock:
    return LetterClock()


@pytest_asyncio.fixture
async def store(path: Path, clock: LetterClock) -> AsyncIterator[SqliteDeadLetters]:
    made = small_store(path, clock)
    await made.open()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def other(path: Path, clock: LetterClock, store: SqliteDeadLetters) -> AsyncIterator[SqliteDeadLetters]:
    """Another store of the same file, as another OS process has it."""
    made = small_store(path, clock)
    await made.open()
    yield made
    await made.close()


async def _events(store: SqliteDeadLetters, which: LetterFilter = ALL) -> list[str]:
    return [one.event for one in await store.find(which, 1000, is_newest_first=False)]


def _take_away(path: Path) -> None:
    path.unlink()


def _block(folder: Path) -> None:
    folder.write_text("")


async def _put(store: SqliteDeadLetters, *events: object, stage: str = "price") -> None:
    await store.put([letter(event, stage=stage) for event in events])


async def _beat(store: SqliteDeadLetters, times: int = 1) -> None:
    for _ in range(times):
        await store.writer.run(store._beat)


async def test_a_letter_that_was_put_is_found_with_all_that_is_known_of_it(store: SqliteDeadLetters) -> None:
    error = failed(ValueError("no total"))
    await store.put([NewLetter("shop", "price", {"sku": "a"}, error, attempts=3, metadata={"offset": 7})])
    (found,) = await store.find(ALL, 10)
    assert (found.id, found.pipeline, found.stage) == (1, "shop", "price")
    assert (found.event, found.form, found.is_replayable) == ('{"sku":"a"}', Form.JSON, True)
    assert (found.error_type, found.error, found.attempts) == ("ValueError", "no total", 3)
    assert "ValueError: no total" in found.traceback
    assert (found.metadata, found.at, found.replay_at, found.is_taken) == ({"offset": 7}, NOON, None, False)


async def test_what_was_put_is_there_after_the_store_was_opened_again(path: Path, store: SqliteDeadLetters) -> None:
    await _put(store, "a", "b")
    await store.close()
    again = small_store(path)
    await again.open()
    assert await _events(again) == ['"a"', '"b"']
    assert again.counts().letters == 2
    await again.close()


async def test_a_store_that_is_closed_twice_stays_closed(store: SqliteDeadLetters) -> None:
    await store.close()
    await store.close()
    with pytest.raises(SqliteError, match="closed"):
        await _put(store, "a")


async def test_a_store_that_was_closed_is_opened_again(store: SqliteDeadLetters) -> None:
    await _put(store, "a")
    await store.close()
    await store.open()
    await _put(store, "b")
    assert await _events(store) == ['"a"', '"b"']


async def test_letters_are_found_by_stage_error_age_and_id(store: SqliteDeadLetters, clock: LetterClock) -> None:
    await _put(store, "a")
    clock.move(60)
    await store.put([letter("b", stage="parse", error=failed(OSError("gone")))])
    await store.put([NewLetter("other", "price", ("c",), failed(OSError("gone")))])
    assert await _events(store, LetterFilter(stages=frozenset({"price"}))) == ['"a"', "('c',)"]
    assert await _events(store, LetterFilter(errors=frozenset({"OSError"}))) == ['"b"', "('c',)"]
    assert await _events(store, LetterFilter(before=NOON + timedelta(seconds=1))) == ['"a"']
    assert await _events(store, LetterFilter(pipeline="shop")) == ['"a"', '"b"']
    assert await _events(store, LetterFilter(ids=frozenset({2, 9}))) == ['"b"']
    assert await _events(store, LetterFilter(before_id=2)) == ['"a"']
    assert await _events(store, LetterFilter(is_replayable=False)) == ["('c',)"]
    assert await store.count(LetterFilter(is_replayable=True)) == 2
    assert [one.id for one in await store.find(ALL, 2)] == [3, 2]


async def test_who_only_looks_may_want_the_beginning_of_long_events(store: SqliteDeadLetters) -> None:
    await _put(store, "short", "äöü" * 1000)
    long, short = await store.find(ALL, 9, most_characters=8)
    assert (long.event, long.is_shortened, long.is_replayable) == ('"äöüäöüä', True, True)
    assert (short.event, short.is_shortened) == ('"short"', False)


async def test_letters_are_dropped_by_a_filter(store: SqliteDeadLetters) -> None:
    await _put(store, *range(1200))
    await _put(store, "kept", stage="parse")
    assert await store.drop(LetterFilter(stages=frozenset({"price"}))) == 1200
    assert await _events(store) == ['"kept"']
    assert store.counts().letters == 1


# Bounds


async def test_the_oldest_go_first_when_there_are_too_many(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = small_store(path, max_events=3)
    await store.open()
    await _put(store, *range(5))
    await _put(store, 5)
    assert await _events(store) == ["3", "4", "5"]
    assert (store.counts().letters, store.counts().put, store.counts().dropped_for_count) == (3, 6, 3)
    (said,) = [record.getMessage() for record in caplog.records if "max_events" in record.getMessage()]
    assert said.startswith(f"the dead letters in {path} are more than max_events: the oldest are dropped")
    await store.close()


async def test_the_oldest_go_first_when_all_are_too_large(path: Path) -> None:
    store = small_store(path, max_size_bytes=100_000)
    await store.open()
    for number in range(40):
        await _put(store, f"{number}" + "x" * 10_000)
        assert store.counts().size_bytes <= 100_000
    kept = await _events(store)
    assert [event[1:3] for event in kept] == [str(number) for number in range(40 - len(kept), 40)]
    assert store.counts().dropped_for_size == 40 - len(kept)
    assert store.counts().size_bytes == sum(one.size for one in await store.find(ALL, 100))
    await store.close()


async def test_no_letter_is_so_large_that_it_pushes_all_others_out(path: Path) -> None:
    store = small_store(path, max_size_bytes=100_000)
    await store.open()
    await _put(store, "small", "x" * 1_000_000)
    small, large = await store.find(ALL, 10, is_newest_first=False)
    assert (small.event, small.form) == ('"small"', Form.JSON)
    assert (large.form, large.is_replayable) == (Form.CUT, False)
    assert large.event.endswith("… (cut: 1000002 bytes in all)")
    await store.close()


async def test_what_is_too_old_goes_by_itself(
    store: SqliteDeadLetters, clock: LetterClock, caplog: pytest.LogCaptureFixture
) -> None:
    await _put(store, "old")
    clock.move(20 * 86_400)
    await _put(store, "young")
    clock.move(10 * 86_400 + 1)
    with caplog.at_level(logging.WARNING, logger="headrace"):
        await _beat(store)
        await _beat(store)
    assert await _events(store) == ['"young"']
    assert store.counts().dropped_for_age == 1
    assert [record for record in caplog.records if "max_age" in record.getMessage()] == caplog.records[:1]


async def test_a_calendar_that_is_set_forward_drops_nothing_and_one_that_is_set_back_neither(
    store: SqliteDeadLetters, clock: LetterClock
) -> None:
    await _put(store, "a")
    clock.set(365 * 86_400)
    await _put(store, "b")
    await _beat(store)
    clock.set(-2 * 365 * 86_400)
    await _put(store, "c")
    await _beat(store)
    assert await _events(store) == ['"a"', '"b"', '"c"']


async def test_a_letter_that_failed_again_is_as_young_as_its_last_failure(
    store: SqliteDeadLetters, clock: LetterClock
) -> None:
    await _put(store, "again", "never")
    await store.mark(LetterFilter(ids=frozenset({1})))
    clock.move(20 * 86_400)
    (taken,) = await store.take("shop", "price", 1)
    await store.put([letter("again", replay_of=taken.replay)])
    clock.move(15 * 86_400)
    await _beat(store)
    assert await _events(store) == ['"again"']


async def test_totals_are_right_however_letters_come_and_go(path: Path, store: SqliteDeadLetters) -> None:
    await _put(store, *("x" * size for size in range(50)))
    await store.mark(LetterFilter(ids=frozenset(range(1, 11))))
    taken = await store.take("shop", "price", 10)
    await store.put([letter("y", error=failed(OSError("e" * 500)), replay_of=one.replay) for one in taken[:5]])
    await store.settle([Settled(one.replay, is_done=True) for one in taken])
    await store.drop(LetterFilter(ids=frozenset({40})))
    found = await store.find(ALL, 100)
    assert len(found) == 44
    assert (store.counts().letters, store.counts().size_bytes) == (44, sum(one.size for one in found))
    with sqlite3.connect(path) as connection:
        assert connection.execute(MISCOUNTED).fetchall() == []
    connection.close()


# Replays


async def test_what_is_marked_is_taken_once_oldest_first(store: SqliteDeadLetters, other: SqliteDeadLetters) -> None:
    await _put(store, *range(5))
    assert await store.mark(LetterFilter(ids=frozenset({1, 2, 3, 4})), rate=10.0) == 4
    assert await store.waiting("shop") == ["price"]
    first = await store.take("shop", "price", 3)
    second = await other.take("shop", "price", 3)
    assert [(one.letter.event, one.rate) for one in first] == [("0", 10.0), ("1", 10.0), ("2", 10.0)]
    assert [one.letter.event for one in second] == ["3"]
    assert await store.take("shop", "price", 3) == []
    assert await store.waiting("shop") == []


async def test_only_letters_of_the_pipeline_and_stage_are_taken(store: SqliteDeadLetters) -> None:
    await _put(store, "a")
    await store.mark(ALL)
    assert await store.take("other", "price", 9) == []
    assert await store.take("shop", "parse", 9) == []


async def test_the_stages_whose_letters_wait_are_told_each_once(store: SqliteDeadLetters) -> None:
    for stage in ("b", "a", "c", "b"):
        await _put(store, 1, 2, stage=stage)
    await store.mark(LetterFilter(stages=frozenset({"a", "b"})))
    await store.put([NewLetter("other", "d", 1, failed(OSError("gone")))])
    await store.mark(LetterFilter(pipeline="other"))
    assert await store.waiting("shop") == ["a", "b"]
    assert await store.waiting("other") == ["d"]
    await store.take("shop", "a", 2)
    assert await store.waiting("shop") == ["b"]


async def test_many_large_letters_go_in_by_pieces(store: SqliteDeadLetters) -> None:
    commits: list[str] = []
    await store.writer.run(
        lambda c: c.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    )
    await _put(store, *("x" * 1_000_000 for _ in range(20)))
    assert store.counts().put == 20
    assert len(commits) == 1 + 4


async def test_what_cannot_be_replayed_is_never_marked(store: SqliteDeadLetters) -> None:
    await _put(store, ("a", 1), {"a": 1}, b"a")
    assert await store.mark(ALL) == 2
    assert await store.mark(ALL) == 0
    assert await store.count(LetterFilter(is_marked=True)) == 2


async def test_a_mark_is_taken_back_until_a_run_is_at_it(store: SqliteDeadLetters) -> None:
    await _put(store, "a", "b")
    await store.mark(ALL)
    await store.take("shop", "price", 1)
    assert await store.unmark(ALL) == 1
    assert await store.waiting("shop") == []
    (first,) = await store.find(LetterFilter(is_marked=True), 9)
    assert (first.event, first.is_taken) == ('"a"', True)


async def test_a_replay_that_went_through_deletes_its_letter(store: SqliteDeadLetters) -> None:
    await _put(store, "a", "b")
    await store.mark(ALL)
    taken = await store.take("shop", "price", 2)
    await store.settle([Settled(taken[0].replay, is_done=True), Settled(taken[1].replay, is_done=False)])
    (left,) = await store.find(ALL, 9)
    assert (left.event, left.attempts, left.replay_at, left.is_taken) == ('"b"', 2, None, False)


async def test_a_replay_that_failed_at_its_stage_again_is_one_letter_still(
    store: SqliteDeadLetters, clock: LetterClock
) -> None:
    await _put(store, {"sku": "a"})
    await store.mark(ALL)
    (taken,) = await store.take("shop", "price", 1)
    clock.move(5)
    await store.put([letter({"sku": "a"}, error=failed(OSError("still")), replay_of=taken.replay)])
    await store.settle([Settled(taken.replay, is_done=True)])  # it is set aside, so its source need not keep it
    (left,) = await store.find(ALL, 9)
    assert (left.id, left.event, left.attempts, left.at) == (1, '{"sku":"a"}', 2, clock.now)
    assert (left.error_type, left.error, left.replay_at) == ("OSError", "still", None)


async def test_what_came_of_a_replay_and_failed_further_down_is_a_letter_of_its_own(store: SqliteDeadLetters) -> None:
    await _put(store, "a")
    await store.mark(ALL)
    (taken,) = await store.take("shop", "price", 1)
    await store.put([letter("derived", stage="write", replay_of=taken.replay)])
    await store.settle([Settled(taken.replay, is_done=True)])
    (left,) = await store.find(ALL, 9)
    assert (left.stage, left.event) == ("write", '"derived"')


async def test_the_end_of_a_former_replay_does_nothing_to_the_present_one(store: SqliteDeadLetters) -> None:
    await _put(store, "a")
    await store.mark(ALL)
    (first,) = await store.take("shop", "price", 1)
    await store.put([letter("a", replay_of=first.replay)])
    await store.mark(ALL)
    (second,) = await store.take("shop", "price", 1)
    await store.settle([Settled(first.replay, is_done=True)])
    assert await _events(store) == ['"a"']
    await store.settle([Settled(second.replay, is_done=True)])
    assert await _events(store) == []


async def test_a_replay_whose_letter_was_dropped_is_a_new_letter_when_it_fails(store: SqliteDeadLetters) -> None:
    await _put(store, "a")
    await store.mark(ALL)
    (taken,) = await store.take("shop", "price", 1)
    await store.drop(ALL)
    await store.put([letter("a", replay_of=taken.replay)])
    assert [one.id for one in await store.find(ALL, 9)] == [2]


async def test_what_was_taken_and_not_begun_waits_again(store: SqliteDeadLetters) -> None:
    await _put(store, "a")
    await store.mark(ALL)
    (taken,) = await store.take("shop", "price", 1)
    await store.give_back([taken.replay, Replay(99, 1)])
    (again,) = await store.take("shop", "price", 1)
    assert (again.letter.event, again.letter.attempts, again.replay.take) == ('"a"', 1, 2)


async def test_a_store_that_closes_lets_others_go_on(store: SqliteDeadLetters, other: SqliteDeadLetters) -> None:
    await _put(store, "a", "b")
    await store.mark(ALL)
    await store.take("shop", "price", 2)
    await store.close()
    assert len(await other.take("shop", "price", 2)) == 2


async def test_a_cancelled_take_gives_back_what_it_took(store: SqliteDeadLetters) -> None:
    await _put(store, "a")
    await store.mark(ALL)
    taking = asyncio.ensure_future(store.take("shop", "price", 1))
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    for _ in range(2):  # what was taken is told, and then put back
        await store.writer.run(lambda _: None)
    assert await store.waiting("shop") == ["price"]


async def test_what_a_dead_store_was_at_waits_again_and_that_costs_an_attempt(
    store: SqliteDeadLetters, other: SqliteDeadLetters
) -> None:
    await _put(store, "a")
    await store.mark(ALL)
    await store.take("shop", "price", 1)  # and says nothing any more
    await _beat(other, MISSED_BEATS)
    assert await other.take("shop", "price", 1) == []
    await _beat(other)
    (taken,) = await other.take("shop", "price", 1)
    assert taken.letter.attempts == 2


async def test_a_store_that_says_that_it_lives_keeps_what_it_has(
    store: SqliteDeadLetters, other: SqliteDeadLetters
) -> None:
    await _put(store, "a")
    await store.mark(ALL)
    await store.take("shop", "price", 1)
    for _ in range(3 * MISSED_BEATS):
        await _beat(store)
        await _beat(other)
    assert await other.take("shop", "price", 1) == []


async def test_what_kills_every_store_that_replays_it_is_not_replayed_for_ever(
    path: Path, clock: LetterClock, other: SqliteDeadLetters
) -> None:
    await _put(other, "poison")
    await other.mark(ALL)
    for _ in range(CRASH_LIMIT):
        await other.writer.run(lambda c: c.execute("update headrace_dead_letters set taken_by = 'dead'"))
        await other.writer.run(lambda c: c.execute("insert into headrace_dead_letter_takers values ('dead', 1)"))
        await _beat(other, MISSED_BEATS + 1)
    (left,) = await other.find(ALL, 9)
    assert (left.replay_at, left.is_taken, left.attempts) == (None, False, 1 + CRASH_LIMIT)
    assert await other.mark(ALL) == 1


# Trouble


async def test_tables_of_a_newer_headrace_are_refused_and_left_alone(path: Path, store: SqliteDeadLetters) -> None:
    await _put(store, "a")
    await store.writer.run(lambda c: c.execute("insert into headrace_dead_letter_schema values (7)"))
    await store.close()
    newer = small_store(path)
    with pytest.raises(NewerDeadLetters, match=r"dead\.db are of version 7, and this headrace knows up to 1: install"):
        await newer.open()
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from headrace_dead_letters").fetchone() == (1,)
    connection.close()


async def test_a_full_disk_refuses_letters_and_takes_them_again_once_there_is_room(store: SqliteDeadLetters) -> None:
    await _put(store, "a")
    pages = await store.writer.run(lambda c: c.execute("pragma page_count").fetchone()[0])
    await store.writer.run(lambda c: c.execute(f"pragma max_page_count = {pages + 2}").fetchall())
    with pytest.raises(SqliteError, match="make room on the disk"):
        await _put(store, *("x" * 10_000 for _ in range(20)))
    assert await _events(store) == ['"a"']
    await store.writer.run(lambda c: c.execute("pragma max_page_count = 1000000").fetchall())
    await _put(store, "b")
    assert await _events(store) == ['"a"', '"b"']
    assert store.counts().put == 2


async def test_a_file_that_was_taken_away_refuses_letters(path: Path, store: SqliteDeadLetters) -> None:
    _take_away(path)
    with pytest.raises(SqliteError, match="deleted or replaced"):
        await _put(store, "a")


async def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    _block(tmp_path / "var")
    store = small_store(tmp_path / "var" / "dead.db")
    with pytest.raises(SqliteError, match="see that its folder exists"):
        await store.open()


async def test_stores_of_one_file_put_at_once_and_lose_nothing(
    store: SqliteDeadLetters, other: SqliteDeadLetters
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(_put(store, f"a{number}"))
            group.create_task(_put(other, f"b{number}"))
    assert len(await _events(store)) == 100
    assert other.counts().put == 50


async def test_letters_that_wait_together_share_a_commit(store: SqliteDeadLetters) -> None:
    commits: list[str] = []
    gate = threading.Event()
    await store.writer.run(
        lambda c: c.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    )
    store.writer.post(lambda _: gate.wait())
    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(_put(store, number))
        group.create_task(_open(gate))
    assert len(await _events(store)) == 100
    assert len(commits) <= 3  # the one before, the one that was held up, and that of the letters


async def _open(gate: threading.Event) -> None:
    gate.set()
