"""Stores that fail, stages that are gone, and whatever else may go wrong with a replay: no letter is lost."""

import asyncio
import inspect
import logging
import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.stages.functions import data_of
from tests.fakes.acknowledged_stages import Told
from tests.fakes.dead_letter_shop import Quiet, Shop, wake
from tests.fakes.dead_letters import ALL, FailingLetters, letter
from tests.fakes.failing_stages import (
    Many,
    OneToOne,
    OneToOneLater,
    Single,
    SingleLater,
    Whole,
    WholeLater,
)
from tests.fakes.flow_stages import Numbers, Silent
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio

FOR_EVER = -1
EDGES = pytest.mark.parametrize("source", [Numbers, Told])
SHAPES = [OneToOne, OneToOneLater, Many, Single, SingleLater, Whole, WholeLater]


async def test_what_cannot_be_kept_when_it_fails_again_is_not_lost(
    shop: Shop, aside: SqliteDeadLetterStore, caplog: pytest.LogCaptureFixture
) -> None:
    shop.table.left = {2: FOR_EVER}
    store = FailingLetters(shop.path)
    topology = shop.topology(lambda: Numbers(0), store=store)
    store.puts = 1
    await aside.request_replay(ALL)
    await topology.start()
    await topology.join()
    (left,) = await aside.find(ALL, 9)
    assert (left.event, left.attempts) == ("2", 2)


async def test_a_store_that_cannot_be_used_for_a_while_loses_nothing_and_is_said_once(
    shop: Shop, aside: SqliteDeadLetterStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = FailingLetters(shop.path)
    topology = shop.topology(Silent, store=store)
    store.settles = 2
    await topology.start()
    await aside.request_replay(ALL)
    wake(topology)
    await until(lambda: not store.settles)
    await topology.drain()
    assert await aside.count(ALL) == 0
    assert len([one for one in caplog.records if "cannot be used, and is tried again" in one.getMessage()]) == 1


@pytest.mark.parametrize("quiet", [Silent, Quiet])
async def test_a_file_that_stays_locked_keeps_no_run_from_its_end(
    shop: Shop, aside: SqliteDeadLetterStore, quiet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.database.sqlite_file.BUSY_SECONDS", 0.02)
    monkeypatch.setattr("headrace.dead_letters.sqlite_store.CLOSE_SECONDS", 0.02)
    monkeypatch.setattr("headrace.dead_letters.service.WRITE_SECONDS", 0.02)
    topology = shop.topology(quiet, SingleLater)
    await topology.start()
    await aside.request_replay(ALL)
    wake(topology)
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
    await store.request_replay(ALL)
    with caplog.at_level(logging.WARNING, logger="headrace"):
        assert (await shop.run(lambda: Numbers(5), **settings)).is_fine
    (said,) = [one.getMessage() for one in caplog.records if "wait to be replayed" in one.getMessage()]
    assert said.startswith(f"dead letters of stage {stage!r} wait to be replayed: {why}")
    assert await store.count(DeadLetterFilter(is_waiting_for_replay=True)) == 2
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
    await store.request_replay(ALL)
    await shop.run(lambda: Numbers(0), OneToOne, Children)
    assert await store.count(DeadLetterFilter(is_waiting_for_replay=True)) == 1
    await shop.run(lambda: Told(0), OneToOne, Children)
    (left,) = await store.find(ALL, 9)
    assert (left.attempts, left.replay_at) == (2, None)
    await store.close()
    assert len([one for one in caplog.records if "it keeps no dead letters any more" in one.getMessage()]) == 1


@pytest.mark.parametrize("seed", range(6))
@EDGES
async def test_every_letter_goes_through_in_the_end_whatever_fails_and_crashes_meanwhile(
    shop: Shop, aside: SqliteDeadLetterStore, source: Any, seed: int
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
        await aside.request_replay(ALL)
        await shop.run(lambda: source(0), Unsteady)
        runs += 1
        assert runs < 10
    twice = 2 if shape is Many else 1
    wanted = {f"<{number}>" for number in range(1, 150) if shape is not Many or number % 4}
    came = Counter(map(str, shop.sink.data))
    assert came.keys() == wanted
    assert all(count >= twice for count in came.values())


async def test_a_letter_whose_text_was_broken_is_put_back(shop: Shop, aside: SqliteDeadLetterStore) -> None:
    await aside.writer.run(lambda c: c.execute("update headrace_dead_letters set event = '{' where id = 2"))
    await aside.request_replay(ALL)
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
