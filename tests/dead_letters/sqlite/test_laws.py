"""The laws of a store of dead letters, whatever is done with it in whatever order, against a table in memory."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from headrace.dead_letters.dead_letter import Replay
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter, ReplayResult
from tests.fakes.dead_letters import letter, small_store

Step = tuple[str, int, int]
"""What is done, by which of two stores, to which letter."""

WORDS = ["put", "unmark", "done", "failed", "again", "back", "drop", "reopen", *("mark", "take") * 3]

STEPS = st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 1), st.integers(0, 7)), min_size=60, max_size=100)


@dataclass
class Known:
    """What must be so of one letter."""

    event: str
    attempts: int = 1
    is_waiting_for_replay: bool = False
    taken_by: int | None = None
    lease: int = 0


class Model:
    """The letters that must be there, and the replays that each of two stores has begun, ended ones too."""

    def __init__(self, stores: Sequence[SqliteDeadLetterStore]) -> None:
        self.stores = list(stores)
        self.known: dict[int, Known] = {}
        self.begun: tuple[list[Replay], list[Replay]] = ([], [])
        self.next_id = 1

    async def step(self, what: str, who: int, which: int) -> None:
        store = self.stores[who]
        ids = sorted(self.known)
        one = ids[which % len(ids)] if ids else 0
        if what == "put" or len(self.known) < 2:
            await store.put([letter(self.next_id)])
            self.known[self.next_id] = Known(str(self.next_id))
            self.next_id += 1
        elif what in {"mark", "unmark", "drop"}:
            await self._change(what, store, one)
        elif what == "take":
            await self._take(store, who, 1 + which % 2)
        elif what == "reopen":
            await self._reopen(who)
        elif self.begun[who]:
            await self._end(what, store, who, self.begun[who][-1 - which % min(4, len(self.begun[who]))])

    async def _change(self, what: str, store: SqliteDeadLetterStore, one: int) -> None:
        found = DeadLetterFilter(ids=frozenset({one}))
        known = self.known.get(one)
        if what == "drop":
            assert await store.drop(found) == (known is not None)
            self.known.pop(one, None)
        elif what == "mark":
            assert await store.request_replay(found) == (known is not None and not known.is_waiting_for_replay)
            if known is not None:
                known.is_waiting_for_replay = True
        else:
            may = known is not None and known.is_waiting_for_replay and known.taken_by is None
            assert await store.cancel_replay(found) == may
            if known is not None and may:
                known.is_waiting_for_replay = False

    async def _take(self, store: SqliteDeadLetterStore, who: int, count: int) -> None:
        waiting = [
            id_ for id_, known in sorted(self.known.items()) if known.is_waiting_for_replay and known.taken_by is None
        ]
        taken = await store.lease("shop", "price", count)
        assert [one.dead_letter.id for one in taken] == waiting[:count]
        for one in taken:
            known = self.known[one.dead_letter.id]
            known.taken_by, known.lease = who, known.lease + 1
            assert one.replay == Replay(one.dead_letter.id, known.lease)
            self.begun[who].append(one.replay)

    async def _reopen(self, who: int) -> None:
        await self.stores[who].close()
        self.stores[who] = small_store(self.stores[who].path)
        await self.stores[who].open()
        for known in self.known.values():
            if known.taken_by == who:
                known.taken_by = None

    async def _end(self, what: str, store: SqliteDeadLetterStore, who: int, replay: Replay) -> None:
        known = self.known.get(replay.id)
        is_own = known is not None and known.taken_by == who and known.lease == replay.lease
        if what == "again":
            await store.put([letter(replay.id, replay_of=replay)])
            if known is not None and known.lease == replay.lease and known.taken_by in {None, who}:
                known.attempts, known.is_waiting_for_replay, known.taken_by = known.attempts + 1, False, None
            else:
                self.known[self.next_id] = Known(str(replay.id))
                self.next_id += 1
            return
        if what == "back":
            await store.release([replay])
        else:
            await store.acknowledge([ReplayResult(replay, is_done=what == "done")])
        if known is None or not is_own:
            return
        known.taken_by = None
        if what == "done":
            del self.known[replay.id]
        elif what == "failed":
            known.attempts, known.is_waiting_for_replay = known.attempts + 1, False

    async def check(self) -> None:
        found = await self.stores[0].find(DeadLetterFilter(), 1000, is_newest_first=False)
        there = [(one.id, one.event, one.attempts, one.replay_at is not None, one.is_leased) for one in found]
        assert there == [
            (id_, known.event, known.attempts, known.is_waiting_for_replay, known.taken_by is not None)
            for id_, known in sorted(self.known.items())
        ]


async def _run(folder: Path, steps: Sequence[Step]) -> None:
    stores = [small_store(folder / "dead.db") for _ in range(2)]
    for store in stores:
        await store.open()
    model = Model(stores)
    try:
        for step in steps:
            await model.step(*step)
            await model.check()
    finally:
        for store in model.stores:
            await store.close()
    with sqlite3.connect(folder / "dead.db") as connection:
        totals = connection.execute("select letters, size from headrace_dead_letter_totals").fetchall()
        assert totals == connection.execute("select count(*), total(size) from headrace_dead_letters").fetchall()
    connection.close()


@settings(
    max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)  # a smaller one takes long
@given(STEPS)
def test_no_letter_is_lost_or_doubled_whatever_two_stores_do_with_one_file(steps: Sequence[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(Path(folder), steps))
