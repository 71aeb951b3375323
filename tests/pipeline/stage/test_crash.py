"""A crash loses the batch in hand, says so, and nothing else; a restart takes over what waits."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headrace.errors import RestartsExhausted, StartFailed, Unrecoverable
from headrace.otp.process.process import ExitReason, ProcessStatus
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.demand.window import Window
from headrace.pipeline.flow.subscription import CancelMode, SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Failing, Numbers, Pass, Silent
from tests.fakes.laws import check_end
from tests.fakes.raw_ends import RawProducer
from tests.fakes.stepping import alone, rest, run_of, settled, started

COUNT = 200


class _Crashing:
    """Fails on its third and its fifth batch; over all restarts it is the same object."""

    def __init__(self) -> None:
        self.calls = 0
        self.failed: list[object] = []
        self.handled: list[object] = []

    def take(self, events: list[object]) -> list[object]:
        self.calls += 1
        if self.calls in (3, 5):
            self.failed += events
            raise KeyError(self.calls)
        self.handled += events
        return events


class _SyncSink(Consumer[object]):
    def __init__(self, crashing: _Crashing) -> None:
        self.crashing = crashing

    def handle_events(self, events: list[object]) -> None:
        self.crashing.take(events)


class _AsyncSink(Consumer[object]):
    def __init__(self, crashing: _Crashing) -> None:
        self.crashing = crashing

    async def handle_events(self, events: list[object]) -> None:
        await asyncio.sleep(0)
        self.crashing.take(events)


class _SyncMiddle(ProducerConsumer[object, object]):
    def __init__(self, crashing: _Crashing) -> None:
        self.crashing = crashing

    def handle_events(self, events: list[object]) -> list[object]:
        return self.crashing.take(events)


class _AsyncMiddle(ProducerConsumer[object, object]):
    def __init__(self, crashing: _Crashing) -> None:
        self.crashing = crashing

    async def handle_events(self, events: list[object]) -> list[object]:
        await asyncio.sleep(0)
        return self.crashing.take(events)


@pytest.mark.asyncio
@pytest.mark.parametrize("window", [(1, 0), (3, 1), (10, 5), (20, 0), (1000, 500)])
@pytest.mark.parametrize("stage", [_SyncSink, _AsyncSink, _SyncMiddle, _AsyncMiddle])
async def test_only_the_batch_in_hand_is_lost_and_no_event_comes_twice(
    stage: Callable[[_Crashing], Stage], window: tuple[int, int]
) -> None:
    topology, crashing, numbers, collect = Topology(), _Crashing(), Numbers(COUNT), Collect()
    topology.add("numbers", lambda: numbers)
    topology.add("crashing", lambda: stage(crashing), subscribe_to=SubscribeTo("numbers", *window))
    if stage in (_SyncMiddle, _AsyncMiddle):
        topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("crashing", 7))
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert not outcome.is_fine or not crashing.failed
    assert sorted([*crashing.handled, *crashing.failed]) == list(range(1, COUNT + 1))  # type: ignore[type-var] # numbers
    assert crashing.handled == sorted(crashing.handled)  # type: ignore[type-var] # numbers
    snapshot = {one.name: one for one in topology.snapshot().stages}["crashing"]
    assert snapshot.discarded["crash"] == outcome.events_lost == len(crashing.failed)
    assert snapshot.restarts == (2 if crashing.calls >= 5 else 1 if crashing.calls >= 3 else 0)
    assert snapshot.events_received == COUNT
    if snapshot.kind == "producer_consumer":
        assert collect.events == crashing.handled
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_batches_not_yet_begun_wait_for_the_restart() -> None:
    consumer = Failing(KeyError("once"))
    topology, silent = Topology(), Silent()
    topology.add("silent", lambda: silent)
    topology.add("consumer", lambda: consumer, subscribe_to=SubscribeTo("silent", 4, 2))
    await topology.start()
    silent.emit_nowait([1, 2, 3, 4])
    await settled(topology)
    assert (consumer.failed, consumer.batches) == ([[1, 2]], [[3, 4]])
    assert silent.demands == [4, 2, 2]
    await topology.drain()


@pytest.mark.asyncio
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_producer_that_crashed_is_told_anew_all_that_is_missed(is_async: bool) -> None:  # noqa: FBT001
    class Crashes(Silent):
        def handle_demand(self, demand: int) -> list[object]:
            super().handle_demand(demand)
            if len(self.demands) == 2:
                raise KeyError("once")
            return []

    class CrashesLater(Crashes):
        async def handle_demand(self, demand: int) -> list[object]:  # type: ignore[override] # either form is allowed
            return super().handle_demand(demand)

    producer, collect, topology = CrashesLater() if is_async else Crashes(), Collect(), Topology()
    topology.add("producer", lambda: producer)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("producer", 10, 5))
    await topology.start()
    await settled(topology)
    producer.emit_nowait([1, 2, 3, 4, 5])
    await settled(topology)
    assert producer.demands == [10, 5, 10]
    assert collect.events == [1, 2, 3, 4, 5]
    await topology.drain()


@pytest.mark.asyncio
async def test_what_a_crashed_producer_had_buffered_waits_for_its_restart() -> None:
    class Bursts(Silent):
        def handle_demand(self, demand: int) -> list[object]:
            if not self.demands:
                self.demands.append(demand)
                self.emit_nowait(list(range(10)))
                raise KeyError("once")
            return super().handle_demand(demand)

    producer, collect, topology = Bursts(), Collect(), Topology()
    topology.add("producer", lambda: producer)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("producer", 4, 2))
    await topology.start()
    await settled(topology)
    assert collect.events == list(range(10))
    assert (await topology.drain()).events_lost == 0


@pytest.mark.asyncio
async def test_a_crash_too_many_ends_the_run_and_says_so() -> None:
    topology, numbers, broken = Topology("shop"), Numbers(), Failing(*[KeyError("always")] * 9)
    topology.add("numbers", lambda: numbers)
    topology.add("pass", Pass, subscribe_to=SubscribeTo("numbers", 10, 5))
    topology.add("broken", lambda: broken, subscribe_to=SubscribeTo("pass", 4, 2))
    await topology.start()
    outcome = await topology.join()
    assert isinstance(outcome.reason, RestartsExhausted)
    assert str(outcome.reason) == (
        "'broken' failed again after 3 restarts within 5 s, and its supervisor exited; "
        "the last error was: KeyError: 'always'"
    )
    assert (outcome.is_completed, outcome.is_fine, topology.state) == (False, False, "failed")
    assert outcome.events_lost == numbers.emitted
    stages = {stage.name: stage for stage in topology.snapshot().stages}
    assert stages["broken"].discarded["crash"] == sum(map(len, broken.failed))
    assert len(broken.failed) == 4
    assert stages["broken"].errors == {"KeyError": 4}
    assert stages["broken"].error == "KeyError: 'always'"
    check_end(run_of(topology))


@pytest.mark.asyncio
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_no_restart_mends_ends_the_run_at_once_with_its_own_sentence(is_async: bool) -> None:  # noqa: FBT001
    error = Unrecoverable("the disk is gone: put it back")

    class Broken(Consumer[object]):
        def handle_events(self, events: list[object]) -> Awaitable[None] | None:
            if is_async:
                return self._later()
            raise error

        async def _later(self) -> None:
            raise error

    topology = Topology()
    topology.add("numbers", Numbers)
    topology.add("broken", Broken, subscribe_to="numbers")
    await topology.start()
    outcome = await topology.join()
    assert outcome.reason is error
    assert [stage.restarts for stage in topology.snapshot().stages] == [0, 0]
    check_end(run_of(topology))


class _Inits(Collect):
    """Its `init` fails on the given calls, counted from 1."""

    def __init__(self, failures: set[int]) -> None:
        super().__init__()
        self.failures = failures
        self.calls = 0

    async def init(self) -> None:
        self.calls += 1
        if self.calls in self.failures:
            raise OSError(98, "port 80 is taken")


@pytest.mark.asyncio
async def test_an_init_that_fails_at_the_start_is_said_and_nothing_runs() -> None:
    topology, numbers, consumer = Topology(), Numbers(), _Inits({1})
    topology.add("numbers", lambda: numbers)
    topology.add("consumer", lambda: consumer, subscribe_to="numbers")
    with pytest.raises(StartFailed) as caught:
        await topology.start()
    assert str(caught.value) == "'consumer' could not start: [Errno 98] port 80 is taken"
    assert (consumer.calls, numbers.emitted) == (1, 0)
    assert all(process.state is ProcessStatus.ENDED for process in run_of(topology).processes.values())
    assert not (await topology.join()).is_fine


@pytest.mark.asyncio
async def test_an_init_that_fails_at_a_restart_is_tried_again() -> None:
    topology, consumer = Topology(), _Inits({2, 3})

    def handle_events(events: list[object]) -> None:
        if consumer.calls == 1:
            raise KeyError("once")
        Collect.handle_events(consumer, events)

    consumer.handle_events = handle_events  # type: ignore[method-assign] # as a subclass would
    topology.add("numbers", lambda: Numbers(10))
    topology.add("consumer", lambda: consumer, subscribe_to=SubscribeTo("numbers", 4, 2))
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert consumer.calls == 4
    assert consumer.events == [3, 4, 5, 6, 7, 8, 9, 10]


@pytest.mark.asyncio
async def test_a_terminate_that_raises_keeps_no_stage_from_its_end(caplog: pytest.LogCaptureFixture) -> None:
    class Sync(Collect):
        def terminate(self, reason: object) -> None:
            raise KeyError("terminate")

    class Async(Collect):
        async def terminate(self, reason: object) -> None:  # type: ignore[override] # either form is allowed
            raise KeyError("terminate")

    topology = Topology()
    topology.add("numbers", lambda: Numbers(10))
    topology.add("sync", Sync, subscribe_to="numbers")
    topology.add("async", Async, subscribe_to="numbers")
    await topology.start()
    assert (await topology.join()).is_completed
    raised = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert sorted(raised) == ["process 'async' raised while it ended", "process 'sync' raised while it ended"]


BOOM = KeyError("boom")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("cancel", "reason", "lives"),
    [
        ("permanent", "normal", False),
        ("permanent", "shutdown", False),
        ("permanent", BOOM, False),
        ("transient", "normal", True),
        ("transient", "shutdown", True),
        ("transient", BOOM, False),
        ("temporary", "normal", True),
        ("temporary", "shutdown", True),
        ("temporary", BOOM, True),
    ],
)
async def test_what_a_producers_end_does_to_its_consumer(cancel: CancelMode, reason: ExitReason, lives: bool) -> None:  # noqa: FBT001
    collect = Collect()
    process = alone(collect, Scheduler())
    assert process.input is not None
    ends = RawProducer("ends", process, Window(4, 2), SubscribeTo("ends", cancel=cancel))
    goes_on = RawProducer("goes on", process, Window(4, 2))
    await started(process)
    ends.send([1])
    ends.end(reason)
    await rest(process.scheduler)
    assert collect.events == [1]
    assert process.state is (ProcessStatus.RUNNING if lives else ProcessStatus.ENDED)
    if lives:
        goes_on.send([2])
        goes_on.complete()
        await rest(process.scheduler)
        assert collect.events == [1, 2]
    assert collect.reasons == ["normal" if lives else reason]
    assert (collect.completions, process.no_restart) == (int(lives), True)


@pytest.mark.asyncio
async def test_a_consumer_that_its_producer_ended_gives_back_what_others_can_take() -> None:
    topology, silent, collect, other = Topology(), Silent(), Collect(), Silent()
    topology.add("silent", lambda: silent)
    topology.add("other", lambda: other)
    topology.add("ends", Collect, subscribe_to=[SubscribeTo("silent", cancel="permanent"), SubscribeTo("other", 4)])
    topology.add("goes on", lambda: collect, subscribe_to=SubscribeTo("other", 2, 0))
    await topology.start()
    await settled(topology)
    run = run_of(topology)
    run.processes["silent"].stop()
    other.emit_nowait([1, 2, 3, 4, 5, 6])
    await settled(topology)
    assert run.processes["ends"].state is ProcessStatus.ENDED
    assert topology.outcome().events_lost == 0
    assert run.processes["ends"].counts.discarded["crash"] == 0
    outcome = await topology.drain()
    ends = next(stage for stage in topology.snapshot().stages if stage.name == "ends")
    assert len(collect.events) + ends.events_received == 6
    assert outcome.events_lost == 0


@pytest.mark.asyncio
async def test_a_consumer_that_never_restarts_gives_its_queue_to_another_and_loses_its_batch() -> None:
    once = StageSettings(restart="temporary")
    topology, numbers, collect, dies = Topology(), Numbers(100), Collect(), Failing(KeyError("dies"))
    topology.add("numbers", lambda: numbers)
    topology.add("dies", lambda: dies, subscribe_to=SubscribeTo("numbers", 10, 5), settings=once)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("numbers", 10, 5))
    await topology.start()
    outcome = await topology.join()
    assert outcome.events_lost == len(dies.failed[0]) == 5
    assert sorted([*collect.events, *dies.failed[0]]) == list(range(1, 101))  # type: ignore[type-var] # numbers
    check_end(run_of(topology))
