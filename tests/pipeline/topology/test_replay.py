"""Dead letters of a run: what stages give up is kept, and goes into them again until it went through; none is lost."""

import asyncio
import inspect
import logging
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from headrace.pipeline.acknowledgement.dead_letter import DeadLetter
from headrace.pipeline.acknowledgement.dead_letters import LetterFilter
from headrace.pipeline.acknowledgement.message import Message
from headrace.pipeline.acknowledgement.sqlite.store import SqliteDeadLetters
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.process.scheduler import Scheduler
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_process import ConsumerProcess
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.elsewhere import Concurrency
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.subscription import SubscribeTo
from headrace.pipeline.topology.outcome import RunOutcome
from headrace.pipeline.topology.replay import StageReplay
from headrace.pipeline.topology.topology import Topology
from headrace.stages.batches import data_of
from tests.fakes.acknowledged_stages import Told
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
from tests.fakes.laws import check_over
from tests.fakes.letters import FailingLetters, letter
from tests.fakes.stepping import alone, run_of, settled, started, until

pytestmark = pytest.mark.asyncio

ALL = LetterFilter()
FOR_EVER = -1
EDGES = pytest.mark.parametrize("source", [Numbers, Told])
SHAPES = [OneToOne, OneToOneLater, Many, Single, SingleLater, Whole, WholeLater]
EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES)


class Quiet(Silent):
    """A source that emits nothing, on edges that carry messages."""

    emits_messages = True


class Shop:
    """A source, a stage `price` that fails as a table says, and a sink; a new pipeline for each run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table = Table({})
        self.sink = Kept()

    def store(self) -> SqliteDeadLetters:
        return SqliteDeadLetters(self.path)

    def topology(
        self,
        source: Callable[[], Producer[Any]],
        shape: Callable[[Table], Any] = OneToOne,
        sink: Callable[[], Consumer[Any]] | None = None,
        **settings: Any,
    ) -> Topology:
        topology = Topology("shop")
        topology.dead_letters = self.store()
        topology.add("source", source)
        said = StageSettings(**settings)
        topology.add("price", lambda: shape(self.table), subscribe_to=SubscribeTo("source", 10, 5), settings=said)
        topology.add("sink", sink or (lambda: self.sink), subscribe_to="price")
        return topology

    async def run(self, source: Callable[[], Producer[Any]], *args: Any, **settings: Any) -> RunOutcome:
        topology = self.topology(source, *args, **settings)
        await topology.start()
        outcome = await topology.join()
        check_over(run_of(topology))
        return outcome

    async def letters(self) -> list[DeadLetter]:
        store = self.store()
        await store.open()
        try:
            return await store.find(ALL, 1000, is_newest_first=False)
        finally:
            await store.close()

    async def mark(self, which: LetterFilter = ALL, rate: float | None = None) -> int:
        store = self.store()
        await store.open()
        try:
            return await store.mark(which, rate)
        finally:
            await store.close()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "dead.db")


@pytest_asyncio.fixture
async def aside(shop: Shop) -> AsyncIterator[SqliteDeadLetters]:
    """The store as another OS process has it open, with three letters of `price`."""
    store = shop.store()
    await store.open()
    await store.put([letter(number) for number in (1, 2, 3)])
    yield store
    await store.close()


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
    assert await shop.mark() == 3
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
    await shop.mark()
    await shop.run(lambda: source(0), shape)
    (left,) = await shop.letters()
    assert (left.id, left.event, left.attempts, left.replay_at, left.is_taken) == (1, "3", 2, None, False)


@pytest.mark.parametrize("quiet", [Silent, Quiet])
async def test_letters_are_replayed_into_a_run_that_is_under_way(
    shop: Shop, aside: SqliteDeadLetters, quiet: Any
) -> None:
    topology = shop.topology(quiet)
    await topology.start()
    await settled(topology)
    await aside.mark(ALL)
    topology.replay_soon()
    await until(lambda: len(shop.sink.data) == 3)
    assert (await topology.drain()).is_drained
    assert shop.sink.data == ["<1>", "<2>", "<3>"]
    assert await aside.count(ALL) == 0


async def test_a_mark_of_another_os_process_is_seen_without_being_told(shop: Shop, aside: SqliteDeadLetters) -> None:
    topology = shop.topology(Silent)
    await topology.start()
    await settled(topology)
    await aside.mark(ALL)
    await until(lambda: len(shop.sink.data) == 3)
    await topology.stop()


async def test_letters_are_replayed_time_and_again(shop: Shop, aside: SqliteDeadLetters) -> None:
    topology = shop.topology(Silent)
    await topology.start()
    for size in (3, 5, 7):
        await aside.mark(ALL)
        topology.replay_soon()
        await until(lambda size=size: len(shop.sink.data) >= size)  # type: ignore[misc] # bound now
        await aside.put([letter(size), letter(size + 1)])
    await topology.drain()
    assert await aside.count(ALL) == 2


async def test_the_metadata_of_a_letter_comes_back_and_says_of_what_it_is_the_replay(
    shop: Shop, aside: SqliteDeadLetters
) -> None:
    seen: list[Message[Any]] = []

    class Look(Consumer[Message[Any]]):
        def handle_events(self, events: list[Message[Any]]) -> None:
            seen.extend(events)

    await aside.drop(LetterFilter(ids=frozenset({2, 3})))
    await aside.mark(ALL)
    await shop.run(lambda: Told(0), OneToOne, Look)
    (message,) = seen
    assert message.data == "<1>"
    assert str(message.metadata["dead_letter"]) == "Replay(id=1, take=1)"


async def test_a_message_waits_for_all_that_comes_of_it(shop: Shop, aside: SqliteDeadLetters) -> None:
    gate = asyncio.Event()

    class Slow(Consumer[Message[Any]]):
        async def handle_events(self, events: list[Message[Any]]) -> None:
            await gate.wait()

    topology = shop.topology(Quiet, OneToOne, Slow)
    await topology.start()
    await aside.mark(ALL)
    topology.replay_soon()
    await until(lambda: shop.table.tried == [1, 2, 3])
    await settled(topology)
    assert await aside.count(ALL) == 3
    gate.set()
    await topology.drain()
    assert await aside.count(ALL) == 0


async def test_what_fails_further_down_becomes_a_letter_of_that_stage(shop: Shop, aside: SqliteDeadLetters) -> None:
    later = Table({})
    later.left["<2>"] = FOR_EVER  # type: ignore[index] # it looks events up, whatever they are
    topology = shop.topology(lambda: Told(0), dispatcher="broadcast")
    topology.add("sell", lambda: OneToOne(later), subscribe_to="price")
    topology.add("sold", Kept, subscribe_to="sell")
    await aside.mark(ALL)
    await topology.start()
    await topology.join()
    assert [(one.stage, one.event) for one in await aside.find(ALL, 9)] == [("sell", '"<2>"')]


@EDGES
async def test_events_that_are_handled_at_once_are_each_judged_by_their_own_end(
    shop: Shop, aside: SqliteDeadLetters, source: Any
) -> None:
    shop.table.left = {2: FOR_EVER}
    await aside.mark(ALL)
    await shop.run(lambda: source(0), SingleLater, concurrency=Concurrency(3, is_ordered=False))
    (left,) = await aside.find(ALL, 9)
    assert (left.id, left.event, left.attempts) == (2, "2", 2)
    assert sorted(map(str, shop.sink.data)) == ["<1>", "<3>"]


async def test_what_a_stage_counts_as_failed_and_does_not_name_stays_a_letter(
    shop: Shop, aside: SqliteDeadLetters
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
    await store.mark(ALL)
    await shop.run(lambda: Numbers(0), OneToOne, Vague)
    assert [one.attempts for one in await store.find(ALL, 9)] == [2, 2]
    await store.drop(LetterFilter(ids=frozenset({5})))
    await store.mark(ALL)
    await shop.run(lambda: Numbers(0), OneToOne, Vague)
    assert await store.count(ALL) == 0
    await store.close()


# Crashes and ends


class Crash(OneToOne):
    """Ends itself over a number, as often as the list says; else it prices."""

    def __init__(self, table: Table, over: list[int]) -> None:
        super().__init__(table)
        self.over = over

    async def handle_events(self, events: list[Any]) -> Any:
        if self.over and self.over[0] in events:
            raise KeyboardInterrupt if self.over.pop(0) < 0 else asyncio.CancelledError
        return super().handle_events(events)


async def test_a_letter_in_hand_at_a_crash_is_back_where_it_was_on_a_plain_edge(
    shop: Shop, aside: SqliteDeadLetters
) -> None:
    over = [2]
    await aside.mark(ALL)
    await shop.run(lambda: Numbers(0), lambda table: Crash(table, over))
    assert over == []
    left = await aside.find(ALL, 9, is_newest_first=False)
    assert [(one.event, one.attempts, one.replay_at) for one in left] == [
        ("1", 2, None),
        ("2", 2, None),
        ("3", 2, None),
    ]
    assert shop.sink.data == []


async def test_a_letter_in_hand_at_a_crash_is_delivered_again_where_messages_flow(
    shop: Shop, aside: SqliteDeadLetters
) -> None:
    over = [2]
    await aside.mark(ALL)
    await shop.run(lambda: Told(0), lambda table: Crash(table, over))
    assert over == []
    assert await aside.count(ALL) == 0
    assert sorted(map(str, shop.sink.data)) == ["<1>", "<2>", "<3>"]


@pytest.mark.parametrize("quiet", [Silent, Quiet])
async def test_a_stop_leaves_what_was_under_way_marked_and_costs_no_attempt(
    shop: Shop, aside: SqliteDeadLetters, quiet: Any
) -> None:
    class Stuck(OneToOne):
        async def handle_events(self, events: list[Any]) -> Any:
            self.table.tried += events
            await asyncio.Event().wait()

    topology = shop.topology(quiet, Stuck)
    await topology.start()
    await aside.mark(ALL)
    topology.replay_soon()
    await until(lambda: shop.table.tried != [])
    await topology.stop()
    left = await aside.find(LetterFilter(is_marked=True), 9)
    assert [(one.event, one.attempts, one.is_taken) for one in left] == [
        ("3", 1, False),
        ("2", 1, False),
        ("1", 1, False),
    ]


@pytest.mark.parametrize("quiet", [Silent, Quiet])
async def test_a_drain_lets_through_what_is_under_way_and_leaves_the_rest_marked(
    shop: Shop, aside: SqliteDeadLetters, quiet: Any
) -> None:
    topology = shop.topology(quiet)
    await topology.start()
    await aside.mark(ALL, rate=0.001)
    topology.replay_soon()
    await until(lambda: shop.table.tried == [1])
    assert (await topology.drain()).is_drained
    left = await aside.find(LetterFilter(is_marked=True), 9)
    assert [(one.event, one.attempts, one.is_taken) for one in left] == [("3", 1, False), ("2", 1, False)]
    assert await aside.count(ALL) == 2


async def test_a_stage_that_cancels_the_replay_leaves_the_letters_marked(
    shop: Shop, aside: SqliteDeadLetters, caplog: pytest.LogCaptureFixture
) -> None:
    class Refuse(OneToOne):
        def handle_subscribe(self, side: str, to: SubscribeTo, subscription: Any) -> str | None:
            self.seen = to
            return "manual" if to.producer.endswith(".dead_letters") else None

        def handle_info(self, message: object) -> None:
            pass

    topology = shop.topology(Silent, Refuse)
    await topology.start()
    await aside.mark(ALL)
    topology.replay_soon()
    handle = topology.stage("price")
    await until(lambda: len(handle.subscriptions()) == 2)
    await settled(topology)
    next(one for one in handle.subscriptions() if one.producer == "price.dead_letters").cancel()
    await topology.drain()
    assert await aside.count(LetterFilter(is_marked=True)) == 3
    assert shop.table.tried == []


async def test_a_stage_may_subscribe_while_letters_are_replayed_into_it(shop: Shop, aside: SqliteDeadLetters) -> None:
    topology = shop.topology(Silent)
    topology.add("more", lambda: Numbers(4))
    await topology.start()
    await aside.mark(ALL, rate=0.001)
    topology.replay_soon()
    await until(lambda: shop.table.tried == [1])
    topology.stage("price").subscribe("more")
    await until(lambda: len(shop.sink.data) == 5)
    await topology.drain()


# What a drain leaves over


class Hangs(Kept):
    """Takes events in, and is never done with them."""

    async def handle_events(self, events: list[Any]) -> None:  # type: ignore[override] # either form is allowed
        await asyncio.Event().wait()


async def test_outputs_that_a_drain_leaves_over_go_on_where_they_were_to_go(shop: Shop) -> None:
    topology = shop.topology(lambda: Numbers(40), OneToOne, Hangs, shutdown_seconds=0.0)
    topology._specs["sink"].subscribe_to = (SubscribeTo("price", 4, 2),)
    await topology.start()
    await until(lambda: topology.snapshot().stages[1].in_flight_events == 10)
    assert topology.stage("price").estimate_buffered_count() > 0
    await topology.drain(0.01)
    letters = await shop.letters()
    assert {one.stage for one in letters} == {"price", "sink"}
    await shop.mark()
    await shop.run(lambda: Numbers(0))
    assert await shop.letters() == []
    assert sorted(map(str, shop.sink.data)) == sorted(f"<{number}>" for number in range(1, len(letters) + 1))


async def test_outputs_that_a_drain_leaves_over_are_letters_of_those_that_would_have_got_them(shop: Shop) -> None:
    def topology(sink: Callable[[], Consumer[Any]]) -> Topology:
        made = Topology("shop")
        made.dead_letters = shop.store()
        made.add("all", lambda: Numbers(20), settings=StageSettings("broadcast"))
        made.add("parts", lambda: Numbers(20), settings=StageSettings(lambda: PartitionDispatcher(2, hash=_parity)))
        for name in ("a", "b"):
            made.add(name, sink, subscribe_to=SubscribeTo("all", 2, 1, selector=_SELECTORS[name]))
        for number in (0, 1):
            made.add(f"part{number}", sink, subscribe_to=SubscribeTo("parts", 2, 1, partition=number))
        return made

    hanging = topology(Hangs)
    await hanging.start()
    await settled(hanging)
    hanging.stage("all").emit_nowait([100, 101])
    hanging.stage("parts").emit_nowait([100, 101])
    await hanging.drain(0.01)
    found = {(one.stage, int(one.event)) for one in await shop.letters() if int(one.event) >= 100}
    assert found == {("a", 100), ("a", 101), ("b", 101), ("part0", 100), ("part1", 101)}


def _parity(event: Any) -> int:
    return int(event) % 2


_SELECTORS: dict[str, Callable[[Any], bool] | None] = {"a": None, "b": lambda event: event % 2 == 1}


# Trouble


async def test_what_cannot_be_kept_when_it_fails_again_is_not_lost(
    shop: Shop, aside: SqliteDeadLetters, caplog: pytest.LogCaptureFixture
) -> None:
    shop.table.left = {2: FOR_EVER}
    topology = shop.topology(lambda: Numbers(0))
    topology.dead_letters = store = FailingLetters(shop.path)
    store.puts = 1
    await aside.mark(ALL)
    await topology.start()
    await topology.join()
    (left,) = await aside.find(ALL, 9)
    assert (left.event, left.attempts) == ("2", 2)


async def test_a_store_that_cannot_be_used_for_a_while_loses_nothing_and_is_said_once(
    shop: Shop, aside: SqliteDeadLetters, caplog: pytest.LogCaptureFixture
) -> None:
    topology = shop.topology(Silent)
    topology.dead_letters = store = FailingLetters(shop.path)
    store.settles = 2
    await topology.start()
    await aside.mark(ALL)
    topology.replay_soon()
    await until(lambda: not store.settles)
    await topology.drain()
    assert await aside.count(ALL) == 0
    assert len([one for one in caplog.records if "cannot be used, and is tried again" in one.getMessage()]) == 1


@pytest.mark.parametrize("quiet", [Silent, Quiet])
async def test_a_file_that_stays_locked_keeps_no_run_from_its_end(
    shop: Shop, aside: SqliteDeadLetters, quiet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.ground.sqlite_file.BUSY_SECONDS", 0.02)
    monkeypatch.setattr("headrace.pipeline.acknowledgement.sqlite.store.CLOSE_SECONDS", 0.02)
    monkeypatch.setattr("headrace.pipeline.topology.office.WRITE_SECONDS", 0.02)
    topology = shop.topology(quiet, SingleLater)
    await topology.start()
    await aside.mark(ALL)
    topology.replay_soon()
    await until(lambda: bool(shop.table.tried))
    lock = sqlite3.connect(shop.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    await topology.drain()
    lock.execute("ROLLBACK")
    lock.close()
    left = await aside.find(ALL, 9)
    assert {one.attempts for one in left} <= {1}
    assert len(shop.sink.data) + len(left) >= 3


NOBODY = [
    ("gone", {}, "there is no stage of that name any more"),
    ("source", {}, "it is a producer now"),
    ("price", {"dead_letters": False}, "it keeps no dead letters any more"),
]


@pytest.mark.parametrize(("stage", "settings", "why"), NOBODY)
async def test_letters_that_no_stage_can_take_wait_and_are_said_once(
    shop: Shop, caplog: pytest.LogCaptureFixture, stage: str, settings: dict[str, Any], why: str
) -> None:
    store = shop.store()
    await store.open()
    await store.put([letter(1, stage=stage), letter(2, stage=stage)])
    await store.mark(ALL)
    with caplog.at_level(logging.WARNING, logger="headrace"):
        assert (await shop.run(lambda: Numbers(5), **settings)).is_fine
    (said,) = [one.getMessage() for one in caplog.records if "wait to be replayed" in one.getMessage()]
    assert said.startswith(f"dead letters of stage {stage!r} wait to be replayed: {why}")
    assert await store.count(LetterFilter(is_marked=True)) == 2
    await store.close()


async def test_children_on_a_plain_edge_take_no_letters_for_one_that_fails_would_be_lost(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    class Children(ConsumerSupervisor[Any]):
        def run(self, event: Any) -> None:
            raise ValueError(event)

    store = shop.store()
    await store.open()
    await store.put([letter(1, stage="sink")])
    await store.mark(ALL)
    await shop.run(lambda: Numbers(0), OneToOne, Children)
    assert await store.count(LetterFilter(is_marked=True)) == 1
    await shop.run(lambda: Told(0), OneToOne, Children)
    (left,) = await store.find(ALL, 9)
    assert (left.attempts, left.replay_at) == (2, None)
    await store.close()
    assert len([one for one in caplog.records if "it keeps no dead letters any more" in one.getMessage()]) == 1


@pytest.mark.parametrize("seed", range(6))
@EDGES
async def test_every_letter_goes_through_in_the_end_whatever_fails_and_crashes_meanwhile(
    shop: Shop, aside: SqliteDeadLetters, source: Any, seed: int
) -> None:
    chance = random.Random(seed)
    shape = chance.choice(SHAPES)
    await aside.drop(ALL)
    await aside.put([letter(number) for number in range(1, 150)])
    shop.table.left = {number: chance.randrange(4) for number in range(1, 150)}
    over = [chance.randrange(1, 150) for _ in range(2)]

    class Unsteady(shape):  # type: ignore[misc, valid-type] # one of the shapes
        async def handle_events(self, events: list[Any]) -> Any:
            if over and over[-1] in [data_of(event) for event in events]:
                over.pop()
                raise asyncio.CancelledError
            made = super().handle_events(events)
            return await made if inspect.isawaitable(made) else made

    runs = 0
    while await aside.count(ALL):
        await aside.mark(ALL)
        await shop.run(lambda: source(0), Unsteady)
        runs += 1
        assert runs < 10
    twice = 2 if shape is Many else 1
    wanted = {f"<{number}>" for number in range(1, 150) if shape is not Many or number % 4}
    came = Counter(map(str, shop.sink.data))
    assert came.keys() == wanted
    assert all(count >= twice for count in came.values())


async def test_a_letter_whose_text_was_broken_is_put_back(shop: Shop, aside: SqliteDeadLetters) -> None:
    await aside.writer.run(lambda c: c.execute("update headrace_dead_letters set event = '{' where id = 2"))
    await aside.mark(ALL)
    await shop.run(lambda: Numbers(0))
    (left,) = await aside.find(ALL, 9)
    assert (left.id, left.attempts, left.replay_at) == (2, 2, None)
    assert shop.sink.data == ["<1>", "<3>"]


async def test_a_store_that_cannot_be_opened_keeps_the_run_from_starting(tmp_path: Path) -> None:
    blocked = Shop(tmp_path / "dead.db")
    _block(blocked.path)
    topology = blocked.topology(lambda: Numbers(5))
    with pytest.raises(Exception, match="file is not a database"):
        await topology.start()
    assert topology.state == "new"


def _block(path: Path) -> None:
    path.write_text("no database" * 1000)


# Rates


class Notes:
    """Notes what a replay tells."""

    def __init__(self) -> None:
        self.told: list[tuple[int, bool | None]] = []

    def ended(self, replay: Any, *, is_done: bool) -> None:
        self.told.append((replay.id, is_done))

    def not_begun(self, replay: Any) -> None:
        self.told.append((replay.id, None))

    def asked(self) -> None:
        pass


async def test_letters_go_no_quicker_than_their_rate_and_make_up_for_little(aside: SqliteDeadLetters) -> None:
    sink, notes = Kept(), Notes()
    process = alone(sink, Scheduler(), name="price")
    await started(process)
    assert isinstance(process, ConsumerProcess)
    await aside.put([letter(number) for number in range(4, 11)])
    await aside.mark(ALL, rate=20.0)
    replay = StageReplay("price", process, notes)
    assert replay.room == 100
    replay.hold(await aside.take("shop", "price", 100))
    sent = []
    for now in (100.0, 100.01, 100.05, 100.06, 100.1, 101.0, 101.0):
        wait = replay.send_due(now)
        await until(lambda: not process.inlet.in_flight())
        sent.append((len(sink.data), round(wait or 0.0, 3)))
    assert sent == [(1, 0.05), (1, 0.04), (2, 0.05), (2, 0.04), (3, 0.05), (6, 0.05), (6, 0.05)]
    replay.finish()
    assert notes.told == [(number, True) for number in range(1, 7)] + [(number, None) for number in range(7, 11)]
    process.kill()
