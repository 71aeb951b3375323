"""Several events of a stage at a time: on the loop, in threads and in OS processes."""

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import pytest

from headrace.errors import DemandError, GraphError, HandlerTimeout, RestartsExhausted
from headrace.executors.errors import WorkerDied
from headrace.otp.ref import Ref
from headrace.pipeline.engine.offload import Made, Offload
from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Aside, Kept, Table
from tests.fakes.flow_stages import Numbers
from tests.fakes.laws import check_end
from tests.fakes.offloading import Offloads
from tests.fakes.stepping import run_of, settled, until

pytestmark = pytest.mark.asyncio

ROOT: Final = Path(__file__).parents[3]
DONE, FAILED, DEAD_LETTERED = Outcome.DONE, Outcome.FAILED, Outcome.DEAD_LETTERED
EDGES = pytest.mark.parametrize("source", [Numbers, Told])
NUMBERS = list(range(1, 21))


class Gates(ProducerConsumer[Any, Any]):
    """Has each event wait until its gate is opened; notes how many wait at a time."""

    per_event = True

    def __init__(self) -> None:
        self.gates: dict[int, asyncio.Future[None]] = {}
        self.begun: list[int] = []
        self.most = 0

    async def handle_events(self, events: list[Any]) -> list[str]:
        (event,) = events
        self.begun.append(event)
        gate = self.gates[event] = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self.gates))
        try:
            await gate
        finally:
            del self.gates[event]
        return [f"<{event}>"]

    def open(self, *numbers: int) -> None:
        for number in numbers:
            if not self.gates[number].done():
                self.gates[number].set_result(None)

    async def open_until(self, is_over: Callable[[], bool]) -> None:
        """Open every gate that there is, until that is so."""

        def step() -> bool:
            self.open(*self.gates)
            return is_over()

        await until(step)


def chain(source: Any, middle: Any, concurrency: Concurrency, **settings: Any) -> tuple[Topology, Any, Kept]:
    topology, origin, sink = Topology(), source(20), Kept()
    topology.add("source", lambda: origin)
    said = StageSettings(concurrency=concurrency, **settings)
    topology.add("middle", middle, subscribe_to=SubscribeTo("source", 6, 3), settings=said)
    topology.add("sink", lambda: sink, subscribe_to="middle")
    return topology, origin, sink


@EDGES
async def test_as_many_as_allowed_are_under_way_and_outputs_keep_their_order(source: Any) -> None:
    gates = Gates()
    topology, origin, sink = chain(source, lambda: gates, Concurrency(4))
    await topology.start()
    await until(lambda: len(gates.gates) == 4)
    gates.open(2, 3)
    await until(lambda: gates.begun == [1, 2, 3, 4, 5, 6])
    assert sink.data == []
    gates.open(1)
    await until(lambda: sink.data == ["<1>", "<2>", "<3>"])  # emitted while others are under way
    await gates.open_until(lambda: len(sink.data) == 20)
    assert (await topology.join()).is_fine
    assert sink.data == [f"<{number}>" for number in NUMBERS]
    assert gates.most == 4
    if isinstance(origin, Told):
        assert origin.outcomes() == [DONE] * 20
    check_end(run_of(topology))


@EDGES
async def test_without_order_what_is_over_is_emitted_at_once(source: Any) -> None:
    gates = Gates()
    topology, origin, sink = chain(source, lambda: gates, Concurrency(4, is_ordered=False))
    await topology.start()
    await until(lambda: len(gates.gates) == 4)
    gates.open(3)
    await until(lambda: sink.data == ["<3>"])
    if isinstance(origin, Told):
        await until(lambda: 3 in origin.told)
        assert list(origin.told) == [3]
    await gates.open_until(lambda: len(sink.data) == 20)
    assert (await topology.join()).is_fine
    assert sorted(sink.data, key=str) == sorted(f"<{number}>" for number in NUMBERS)
    check_end(run_of(topology))


async def test_a_stage_takes_no_more_than_its_subscribers_ask_for() -> None:
    gates = Gates()
    topology, origin = Topology(), Numbers(20)
    topology.add("source", lambda: origin)
    how = StageSettings(concurrency=Concurrency(8))
    topology.add("middle", lambda: gates, subscribe_to=SubscribeTo("source", 4, 2), settings=how)
    handle = topology.add("sink", Holds, subscribe_to=SubscribeTo("middle", 1, 0))
    await topology.start()
    await gates.open_until(lambda: len(gates.begun) >= 2)
    assert gates.begun == [1, 2]  # the batch that may overshoot: one was asked for
    handle.resume()
    await topology.stop()


async def test_one_that_lags_behind_keeps_no_slot_empty() -> None:
    gates = Gates()
    topology, _, sink = chain(Numbers, lambda: gates, Concurrency(3, is_ordered=False))
    await topology.start()
    await until(lambda: len(gates.gates) == 3)
    for number in range(2, 19):
        gates.open(number)
        await until(lambda number=number: f"<{number}>" in sink.data)  # type: ignore[misc] # bound as it is
        await until(lambda: len(gates.gates) == 3)
        assert 1 in gates.gates
    await topology.stop()


async def test_a_message_for_the_stage_is_handled_though_events_never_end() -> None:
    class Asked(Gates):
        def begun_so_far(self) -> int:
            return len(self.begun)

    gates = Asked()
    topology, _, _ = chain(lambda _: Numbers(None), lambda: gates, Concurrency(2))
    await topology.start()
    await until(lambda: len(gates.gates) == 2)
    ref = cast("Ref[Asked]", topology.stage("middle").ref)
    answer = asyncio.ensure_future(ref.call(Asked.begun_so_far))
    await gates.open_until(answer.done)
    assert await answer > 0
    await topology.stop()


class Holds(Kept):
    """Never has done with its first batch."""

    async def handle_events(self, events: list[Any]) -> None:  # type: ignore[override] # either form is allowed
        await asyncio.Event().wait()


class Fails(ProducerConsumer[Any, Any]):
    """Fails as a table says."""

    per_event = True

    def __init__(self, table: Table) -> None:
        self.table = table

    async def handle_events(self, events: list[Any]) -> list[object]:
        await asyncio.sleep(0)
        return [self.table(events[0])]


@EDGES
@pytest.mark.parametrize("is_ordered", [True, False])
async def test_each_event_is_tried_again_and_given_up_on_its_own(source: Any, *, is_ordered: bool) -> None:
    table, aside = Table({3: 2, 5: -1, 8: 1}), Aside()
    how, retry = Concurrency(4, is_ordered=is_ordered), Retry(3, backoff_seconds=0.0)
    topology, origin, sink = chain(source, lambda: Fails(table), how, retry=retry)
    topology.dead_letter_handler = aside
    await topology.start()
    assert (await topology.join()).is_fine
    assert Counter(table.tried) == Counter([*NUMBERS, 3, 3, 5, 5, 8])
    assert Counter(sink.data) == Counter(f"<{number}>" for number in NUMBERS if number != 5)
    assert [(one.data, one.attempts) for one in aside.kept] == [(5, 3)]
    if isinstance(origin, Told):
        assert origin.outcomes() == [DEAD_LETTERED if number == 5 else DONE for number in NUMBERS]
    check_end(run_of(topology))


class FailsAtTheEnd(Fails):
    """Counts a failed event when all events have been handled."""

    def handle_complete(self) -> list[object]:
        self.fail(ValueError("at the end"))
        return []


async def test_an_event_that_fails_outside_of_any_call_is_counted_and_crashes_nothing() -> None:
    topology, _, sink = chain(Numbers, lambda: FailsAtTheEnd(Table({})), Concurrency(4))
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert outcome.events_failed == 1
    assert topology.snapshot().stages[1].restarts == 0
    assert len(sink.data) == 20


class FailsLater(Fails):
    """Starts a task for each event, which reports a failure when the event is over."""

    def __init__(self) -> None:
        super().__init__(Table({}))
        self.tasks: list[asyncio.Task[None]] = []

    async def handle_events(self, events: list[Any]) -> list[object]:
        self.tasks.append(asyncio.create_task(self.fail_later()))
        return [events[0]]

    async def fail_later(self) -> None:
        await asyncio.sleep(0.01)
        self.fail(ValueError("later"))

    async def handle_complete(self) -> list[object]:
        await asyncio.gather(*self.tasks)
        return []


async def test_an_event_that_fails_in_a_task_after_its_call_is_counted() -> None:
    topology, _, sink = chain(Numbers, FailsLater, Concurrency(4))
    await topology.start()
    assert (await topology.join()).events_failed == 20
    assert len(sink.data) == 20


@pytest.mark.parametrize("is_ordered", [True, False])
async def test_a_crash_delivers_again_what_was_not_over(*, is_ordered: bool) -> None:
    table = Table({7: 1})
    topology, origin, sink = chain(Told, lambda: Fails(table), Concurrency(4, is_ordered=is_ordered))
    await topology.start()
    assert (await topology.join()).is_fine
    assert topology.snapshot().stages[1].restarts == 1
    assert Counter(sink.data) == Counter(f"<{number}>" for number in NUMBERS)
    assert origin.outcomes() == [DONE] * 20
    check_end(run_of(topology))


async def test_a_cancellation_that_nobody_asked_for_is_a_crash() -> None:
    class Cancels(Fails):
        async def handle_events(self, events: list[Any]) -> list[object]:
            if events == [3]:
                raise asyncio.CancelledError
            return await super().handle_events(events)

    topology, origin, _ = chain(Told, lambda: Cancels(Table({})), Concurrency(4), max_deliveries=1)
    await topology.start()
    assert (await topology.join()).events_failed >= 1
    assert topology.snapshot().stages[1].restarts >= 1
    assert origin.outcomes()[2] is FAILED


async def test_an_event_that_takes_too_long_fails_and_the_others_go_on() -> None:
    gates, aside = Gates(), Aside()
    topology, origin, sink = chain(Told, lambda: gates, Concurrency(20), timeout_seconds=0.05)
    topology.dead_letter_handler = aside
    await topology.start()
    await until(lambda: len(gates.gates) >= 6)
    opened = {number for number in gates.gates if number != 3}
    gates.open(*opened)
    await topology.join()
    assert {one.data for one in aside.kept} == set(NUMBERS) - opened
    assert {type(one.error) for one in aside.kept} == {HandlerTimeout}
    assert {f"<{number}>" for number in opened} == set(sink.data)
    assert set(origin.outcomes()) == {DONE, DEAD_LETTERED}


@EDGES
async def test_threads_run_what_blocks(source: Any) -> None:
    barrier = threading.Barrier(4, timeout=30)

    class Blocks(ProducerConsumer[Any, Any]):
        per_event = True

        def handle_events(self, events: list[Any]) -> list[str]:
            barrier.wait()  # passes only when four are in it at once
            if events == [3]:
                self.fail_at(0, ValueError("three"))
                return []
            return [threading.current_thread().name]

    topology, origin, sink = chain(source, Blocks, Concurrency(4, "thread"))
    await topology.start()
    assert (await topology.join()).events_failed == 1
    assert len(sink.data) == 19
    assert all(str(name).startswith("headrace-middle") for name in sink.data)
    if isinstance(origin, Told):
        assert origin.outcomes() == [FAILED if number == 3 else DONE for number in NUMBERS]


@EDGES
async def test_os_processes_run_functions_and_the_death_of_one_fails_its_event_alone(
    source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    aside = Aside()
    topology, origin, sink = chain(source, Offloads, Concurrency(2, "subprocess"))
    topology.dead_letter_handler = aside
    await topology.start()
    assert (await topology.join()).is_fine
    made: list[tuple[int, int]] = list(sink.data)  # type: ignore[arg-type] # pairs of those
    assert [number for number, _ in made] == [n for n in NUMBERS if n not in {3, 5}]
    assert os.getpid() not in {pid for _, pid in made}
    assert sorted((one.data, type(one.error)) for one in aside.kept) == [(3, ValueError), (5, WorkerDied)]
    if isinstance(origin, Told):
        assert origin.outcomes() == [DEAD_LETTERED if number in {3, 5} else DONE for number in NUMBERS]


@pytest.mark.parametrize("retry", [None, Retry(2, backoff_seconds=0.0)])
async def test_quick_events_go_several_at_a_time_and_who_is_to_blame_fails_alone(
    retry: Retry | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    calls: list[int] = []
    many = Offload.many

    async def counted(work: Offload, data: list[object]) -> list[Made]:
        calls.append(len(data))
        return await many(work, data)

    monkeypatch.setattr(Offload, "many", counted)
    aside, origin, sink = Aside(), Told(500), Kept()
    topology = Topology()
    topology.dead_letter_handler = aside
    topology.add("source", lambda: origin)
    said = StageSettings(concurrency=Concurrency(2, "subprocess"), retry=retry)
    topology.add("middle", Offloads, subscribe_to="source", settings=said)
    topology.add("sink", lambda: sink, subscribe_to="middle")
    await topology.start()
    assert (await topology.join()).is_fine
    numbers = [n for n in range(1, 501) if n not in {3, 5}]
    assert [pair[0] for pair in cast("list[tuple[int, int]]", sink.data)] == numbers
    assert sorted((one.data, type(one.error)) for one in aside.kept) == [(3, ValueError), (5, WorkerDied)]
    assert origin.outcomes() == [DEAD_LETTERED if n in {3, 5} else DONE for n in range(1, 501)]
    assert sum(calls) > 400
    assert max(calls) > 8


async def test_a_sink_handles_several_too() -> None:
    gates: list[int] = []
    most = 0

    class Sink(Consumer[Any]):
        per_event = True

        async def handle_events(self, events: list[Any]) -> None:
            nonlocal most
            gates.append(events[0])
            most = max(most, len(gates))
            await asyncio.sleep(0)
            gates.remove(events[0])

    topology, origin = Topology(), Told(20)
    topology.add("source", lambda: origin)
    topology.add("sink", Sink, subscribe_to="source", settings=StageSettings(concurrency=Concurrency(5)))
    await topology.start()
    assert (await topology.join()).is_fine
    assert most == 5
    assert origin.outcomes() == [DONE] * 20


async def test_a_stop_leaves_no_task_and_gives_back_what_was_under_way() -> None:
    gates = Gates()
    topology, origin, _ = chain(Told, lambda: gates, Concurrency(4), shutdown_seconds=0.0)
    await topology.start()
    await until(lambda: len(gates.gates) == 4)
    await topology.stop()
    assert gates.gates == {}
    assert set(origin.outcomes()) == {FAILED}


async def test_a_stage_that_always_crashes_ends_the_run() -> None:
    topology, origin, _ = chain(Told, lambda: Fails(Table(dict.fromkeys(NUMBERS, -1))), Concurrency(4))
    await topology.start()
    outcome = await topology.join()
    assert isinstance(outcome.reason, RestartsExhausted)
    assert set(origin.outcomes()) == {FAILED}


async def test_concurrency_changes_while_the_stage_runs() -> None:
    gates = Gates()
    topology, _, _ = chain(lambda _: Numbers(None), lambda: gates, Concurrency(2, is_ordered=False))
    await topology.start()
    await until(lambda: len(gates.gates) == 2)
    middle = topology.stage("middle")
    middle.scale(5)
    await until(lambda: len(gates.gates) == 5)
    middle.scale(1)
    first = set(gates.gates)
    gates.open(*first)
    await until(lambda: not first & set(gates.gates))
    await settled(topology)
    assert len(gates.gates) == 1
    await topology.stop()


@pytest.mark.parametrize(
    ("stage", "limit", "sentence"),
    [
        ("middle", 0, "concurrency"),
        ("middle", True, "concurrency"),
        ("sink", 2, "handles batches one after another: give it a concurrency above 1"),
        ("source", 2, "is a producer and has no input"),
    ],
)
async def test_what_cannot_be_scaled_is_refused(stage: str, limit: int, sentence: str) -> None:
    topology, _, _ = chain(Numbers, Gates, Concurrency(2))
    await topology.start()
    with pytest.raises((DemandError, GraphError), match=sentence):
        topology.stage(stage).scale(limit)
    await topology.stop()


class Plain(ProducerConsumer[Any, Any]):
    """Handles batches on the loop."""

    def handle_events(self, events: list[Any]) -> list[object]:
        return events


class PlainEach(Plain):
    """Handles events on the loop."""

    per_event = True


@pytest.mark.parametrize(
    ("stage", "settings", "sentence"),
    [
        (Plain, {"concurrency": Concurrency(2, "thread")}, "handles batches as a whole, so no executor is for it"),
        (
            Plain,
            {"concurrency": Concurrency(2)},
            "2, which would change nothing: .* leave it out, or make that an `async def`$",
        ),
        (PlainEach, {"concurrency": Concurrency(2)}, "has a concurrency of 2, which would change nothing: a `def`"),
        (PlainEach, {"concurrency": Concurrency(2, "subprocess")}, "has no function that OS processes could run"),
        (PlainEach, {"timeout_seconds": 1.0}, "has a timeout that cannot be kept: a `def` on the loop holds it"),
        (Gates, {"concurrency": Concurrency(0)}, "has a concurrency of 0: it must be a whole number, 1 or more"),
        (Gates, {"concurrency": Concurrency(2, "ray")}, "has an executor 'ray': it must be one of inline, thread"),  # type: ignore[arg-type]
    ],
)
async def test_what_cannot_be_is_refused(stage: Any, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GraphError, match=sentence):
        Topology().add("stage", stage, settings=StageSettings(**settings))
