"""Dead letters of a run: what stages give up is kept, and goes into them again until it went through."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter
from headrace.pipeline.message import Message
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.settings import Concurrency
from tests.fakes.acknowledged_stages import Told
from tests.fakes.dead_letter_shop import Quiet, Shop, wake
from tests.fakes.dead_letters import ALL, letter
from tests.fakes.failing_stages import (
    Kept,
    Many,
    OneToOne,
    OneToOneLater,
    Single,
    SingleLater,
    Table,
    Whole,
    WholeLater,
)
from tests.fakes.flow_stages import Numbers, Silent
from tests.fakes.stepping import settled, until

pytestmark = pytest.mark.asyncio

FOR_EVER = -1
EDGES = pytest.mark.parametrize("source", [Numbers, Told])
SHAPES = [OneToOne, OneToOneLater, Many, Single, SingleLater, Whole, WholeLater]
EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES)


@EDGES
@EACH_SHAPE
async def test_what_a_stage_gives_up_is_kept_and_replayed_by_the_next_run(
    shop: Shop, source: Any, shape: type[OneToOne]
) -> None:
    shop.table.left = {3: FOR_EVER, 7: FOR_EVER, 18: FOR_EVER}
    await shop.run(lambda: source(20), shape)
    before = Counter(shop.sink.data)
    assert [(one.pipeline, one.stage, one.event) for one in await shop.letters()] == [
        ("shop", "price", "3"),
        ("shop", "price", "7"),
        ("shop", "price", "18"),
    ]
    shop.table.left = {}
    assert await shop.request_replay() == 3
    await shop.run(lambda: source(0), shape)
    assert await shop.letters() == []
    twice = 2 if shape is Many else 1
    assert Counter(shop.sink.data) - before == {"<3>": twice, "<7>": twice, "<18>": twice}


@EDGES
@EACH_SHAPE
async def test_what_fails_again_is_the_same_letter_with_one_more_attempt(
    shop: Shop, source: Any, shape: type[OneToOne]
) -> None:
    shop.table.left = {3: FOR_EVER, 7: FOR_EVER}
    await shop.run(lambda: source(10), shape)
    shop.table.left = {3: FOR_EVER}
    await shop.request_replay()
    await shop.run(lambda: source(0), shape)
    (left,) = await shop.letters()
    assert (left.id, left.event, left.attempts, left.replay_at, left.is_leased) == (1, "3", 2, None, False)


@pytest.mark.parametrize("quiet", [Silent, Quiet])
async def test_letters_are_replayed_into_a_run_that_is_under_way(
    shop: Shop, aside: SqliteDeadLetterStore, quiet: Any
) -> None:
    topology = shop.topology(quiet)
    await topology.start()
    await settled(topology)
    await aside.request_replay(ALL)
    wake(topology)
    await until(lambda: len(shop.sink.data) == 3)
    assert (await topology.drain()).is_drained
    assert shop.sink.data == ["<1>", "<2>", "<3>"]
    assert await aside.count(ALL) == 0


async def test_a_mark_of_another_os_process_is_seen_without_being_told(
    shop: Shop, aside: SqliteDeadLetterStore
) -> None:
    topology = shop.topology(Silent)
    await topology.start()
    await settled(topology)
    await aside.request_replay(ALL)
    await until(lambda: len(shop.sink.data) == 3)
    await topology.stop()


async def test_letters_are_replayed_time_and_again(shop: Shop, aside: SqliteDeadLetterStore) -> None:
    topology = shop.topology(Silent)
    await topology.start()
    for size in (3, 5, 7):
        await aside.request_replay(ALL)
        wake(topology)
        await until(lambda size=size: len(shop.sink.data) >= size)  # type: ignore[misc] # bound now
        await aside.put([letter(size), letter(size + 1)])
    await topology.drain()
    assert await aside.count(ALL) == 2


async def test_the_metadata_of_a_letter_comes_back_and_says_of_what_it_is_the_replay(
    shop: Shop, aside: SqliteDeadLetterStore
) -> None:
    seen: list[Message[Any]] = []

    class Look(Consumer[Message[Any]]):
        takes_messages = True

        def handle_events(self, events: list[Message[Any]]) -> None:
            seen.extend(events)

    await aside.drop(DeadLetterFilter(ids=frozenset({2, 3})))
    await aside.request_replay(ALL)
    await shop.run(lambda: Told(0), OneToOne, Look)
    (message,) = seen
    assert message.data == "<1>"
    assert str(message.metadata["dead_letter"]) == "Replay(id=1, lease=1)"


async def test_a_message_waits_for_all_that_comes_of_it(shop: Shop, aside: SqliteDeadLetterStore) -> None:
    gate = asyncio.Event()

    class Slow(Consumer[Message[Any]]):
        async def handle_events(self, events: list[Message[Any]]) -> None:
            await gate.wait()

    topology = shop.topology(Quiet, OneToOne, Slow)
    await topology.start()
    await aside.request_replay(ALL)
    wake(topology)
    await until(lambda: shop.table.tried == [1, 2, 3])
    await settled(topology)
    assert await aside.count(ALL) == 3
    gate.set()
    await topology.drain()
    assert await aside.count(ALL) == 0


async def test_what_fails_further_down_becomes_a_letter_of_that_stage(shop: Shop, aside: SqliteDeadLetterStore) -> None:
    later = Table({})
    later.left["<2>"] = FOR_EVER  # type: ignore[index] # it looks events up, whatever they are
    topology = shop.topology(lambda: Told(0), dispatcher="broadcast")
    topology.add("sell", lambda: OneToOne(later), subscribe_to="price")
    topology.add("sold", Kept, subscribe_to="sell")
    await aside.request_replay(ALL)
    await topology.start()
    await topology.join()
    assert [(one.stage, one.event) for one in await aside.find(ALL, 9)] == [("sell", '"<2>"')]


@EDGES
async def test_events_that_are_handled_at_once_are_each_judged_by_their_own_end(
    shop: Shop, aside: SqliteDeadLetterStore, source: Any
) -> None:
    shop.table.left = {2: FOR_EVER}
    await aside.request_replay(ALL)
    await shop.run(lambda: source(0), SingleLater, concurrency=Concurrency(3, is_ordered=False))
    (left,) = await aside.find(ALL, 9)
    assert (left.id, left.event, left.attempts) == (2, "2", 2)
    assert sorted(map(str, shop.sink.data)) == ["<1>", "<3>"]


async def test_what_a_stage_counts_as_failed_and_does_not_name_stays_a_letter(
    shop: Shop, aside: SqliteDeadLetterStore
) -> None:
    class Vague(Consumer[Any]):
        def handle_events(self, events: list[Any]) -> None:
            for event in events:
                if event == "<2>":
                    self.fail(ValueError(event))

    store = shop.store()
    await store.open()
    await store.drop(ALL)
    await store.put([letter(text, stage="sink") for text in ("<1>", "<2>")])
    await store.request_replay(ALL)
    await shop.run(lambda: Numbers(0), OneToOne, Vague)
    assert [one.attempts for one in await store.find(ALL, 9)] == [2, 2]
    await store.drop(DeadLetterFilter(ids=frozenset({5})))
    await store.request_replay(ALL)
    await shop.run(lambda: Numbers(0), OneToOne, Vague)
    assert await store.count(ALL) == 0
    await store.close()
