"""A random machine, driven turn by turn: the laws of demand and conservation hold between any two turns."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from itertools import product
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from headrace.pipeline.acknowledgement.acknowledgement import Outcome
from headrace.pipeline.process.process import State
from headrace.pipeline.stage.consumer_process import ConsumerProcess
from headrace.pipeline.stage.producer_process import ProducerProcess
from headrace.pipeline.topology.link import StageProcess
from headrace.pipeline.topology.outcome import RunOutcome
from headrace.pipeline.topology.run import Run
from headrace.pipeline.topology.topology import Topology
from tests.fakes.laws import check_demand, check_over, discarded, inlet_of, outlet_of, queued
from tests.fakes.machine_plans import Plan, names, plans
from tests.fakes.machine_stages import Event, MachineCrash
from tests.fakes.stepping import run_of

T = TypeVar("T")

QUIET_STEPS = 50_000
"""So many steps a machine may take to come to its rest."""

DRAIN_SECONDS = 3.0
"""A drain that takes so long waits for something that never comes."""


def pulled(process: StageProcess) -> int:
    """Return how many events came out of a stream that its producer's next turn emits."""
    pull = process.pull if isinstance(process, ProducerProcess) else None
    return 0 if pull is None else len(pull._came)


def described(run: Run) -> str:
    """Return where each stage stands, one a line."""
    lines = []
    for name, process in run.processes.items():
        inlet, outlet = inlet_of(process), outlet_of(process)
        waiting = (
            []
            if inlet is None
            else [(one.producer.name, one.pending, queued(one), len(one.queue)) for one in inlet.subscriptions]
        )
        buffered = None if outlet is None else (outlet.buffer.size, len(outlet.subscriptions))
        lines.append(f"{name} {process.state.value} {process.is_busy=} {process.reason!r} {waiting=} {buffered=}")
    return "\n".join(lines)


class Machine(RuleBasedStateMachine):
    """Steps, bursts, crashes, permits, readers, consumers that leave, and a drain in the middle of it all."""

    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("headrace").setLevel(logging.CRITICAL)
        self.loop = asyncio.new_event_loop()
        self.topology: Topology | None = None
        self.drain: asyncio.Task[RunOutcome] | None = None
        self.readers: list[tuple[str, AsyncGenerator[object, None]]] = []
        self.has_left = False
        self.has_been_read = False

    def run(self, work: Coroutine[object, object, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize(plan=plans())
    def begin(self, plan: Plan) -> None:
        self.plan = plan
        for stage in plan.stages.values():
            stage.notes.supply = 20
        self.run(self._begin())
        self.check()

    async def _begin(self) -> None:
        self.topology = self.plan.build()
        await self.topology.start()
        self.machine = run_of(self.topology)
        self.machine.scheduler._slice_seconds = 0.0

    # rules

    @rule(steps=st.integers(1, 30))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            self.run(asyncio.sleep(0))
            self.check()

    @rule()
    def settle(self) -> None:
        self.run(self._settle())
        self.check()
        self._check_rest()

    async def _settle(self) -> None:
        quiet = 0
        for _ in range(QUIET_STEPS):
            await asyncio.sleep(0)
            quiet = 0 if self.machine.scheduler._is_scheduled else quiet + 1
            if quiet > 5:
                return
        pytest.fail("the machine comes to no rest")

    @rule(data=st.data(), count=st.integers(1, 100))
    def supply(self, data: st.DataObject, count: int) -> None:
        self.plan.stages[data.draw(st.sampled_from(names(self.plan, "source")))].notes.supply += count

    @rule(data=st.data(), count=st.integers(1, 30))
    def push(self, data: st.DataObject, count: int) -> None:
        name = data.draw(st.sampled_from([*names(self.plan, "source"), *names(self.plan, "middle")]))
        process = self.machine.processes[name]
        assert not isinstance(process, ConsumerProcess)
        notes = self.plan.stages[name].notes
        is_source = isinstance(process, ProducerProcess)
        process.emit_nowait([notes.at_source("pushed") if is_source else notes.new("pushed") for _ in range(count)])
        notes.pushed += count
        self.check()

    @rule(data=st.data(), count=st.integers(1, 5))
    def permit(self, data: st.DataObject, count: int) -> None:
        notes = self.plan.stages[data.draw(st.sampled_from(list(self.plan.stages)))].notes
        for _ in range(count):
            notes.permits.release()

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        stage = self.plan.stages[data.draw(st.sampled_from(list(self.plan.stages)))]
        stage.notes.crashes += 1
        self.has_left |= stage.settings.restart == "temporary"

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.plan.stages[data.draw(st.sampled_from(names(self.plan, "source")))].notes.is_finishing = True

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.has_left = True
        self.machine.processes[data.draw(st.sampled_from(list(self.plan.stages)))].stop()

    @precondition(lambda self: len(self.readers) < 2)
    @rule(data=st.data(), most=st.integers(1, 20))
    def open_reader(self, data: st.DataObject, most: int) -> None:
        assert self.topology is not None
        name = data.draw(st.sampled_from([*names(self.plan, "source"), *names(self.plan, "middle")]))
        self.readers.append((name, self.topology.read(name, most)))
        self.has_left = self.has_been_read = True
        self.run(self._read(1, len(self.readers) - 1))

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), count=st.integers(1, 10))
    def read(self, data: st.DataObject, count: int) -> None:
        self.run(self._read(count, data.draw(st.integers(0, len(self.readers) - 1))))
        self.check()

    async def _read(self, count: int, index: int) -> None:
        _, reader = self.readers[index]
        for _ in range(count):
            reading = asyncio.ensure_future(anext(reader, None))
            await self._settle()
            has_waited = not reading.done()
            reading.cancel()
            await asyncio.wait([reading])
            if has_waited or isinstance(reading.exception(), MachineCrash) or reading.result() is None:
                self.readers.pop(index)
                return

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def close_reader(self, data: st.DataObject) -> None:
        _, reader = self.readers.pop(data.draw(st.integers(0, len(self.readers) - 1)))
        self.run(reader.aclose())
        self.check()

    @precondition(lambda self: self.drain is None)
    @rule()
    def begin_drain(self) -> None:
        self.drain = self.loop.create_task(self._drain())
        self.step(3)

    async def _drain(self) -> RunOutcome:
        assert self.topology is not None
        late: list[str] = []
        alarm = self.loop.call_later(DRAIN_SECONDS, lambda: late.append(described(self.machine)))
        outcome = await self.topology.drain(deadline_seconds=DRAIN_SECONDS + 1)
        alarm.cancel()
        assert not late, "\n".join(late)
        return outcome

    # laws

    def check(self) -> None:
        check_demand(self.machine)
        for name, process in self.machine.processes.items():
            notes = self.plan.stages[name].notes
            inlet, outlet = inlet_of(process), outlet_of(process)
            fate = discarded(process)
            if inlet is not None:
                fate -= inlet.received() - notes.handled
                got = sum(one.delivered for one in self.machine.subscriptions if one.consumer is process)
                assert got == inlet.received() + inlet.in_flight()
            if outlet is not None:
                fate -= notes.made + notes.pushed - outlet.sent() - outlet.buffer.size - pulled(process)
                sent = sum(one.delivered for one in self.machine.subscriptions if one.producer is process)
                assert self.has_been_read or not outlet.dispatcher.takes_back or outlet.sent() == sent
            assert fate == 0, (name, fate)

    def _check_rest(self) -> None:
        """At rest every ask was heard, and nothing stays in a buffer that could be delivered."""
        for process in self.machine.processes.values():
            outlet = outlet_of(process)
            if outlet is not None and process.state is State.RUNNING:
                assert all(subscription.asked == 0 for subscription in outlet.subscriptions)
                assert outlet.buffer.size == 0 or outlet.dispatcher.unmet() == 0
            inlet = inlet_of(process)
            if isinstance(process, ConsumerProcess) and process.state is State.RUNNING and not process.is_busy:
                assert inlet is None or inlet.in_flight() == 0

    # the end

    def teardown(self) -> None:
        try:
            if self.topology is not None:
                self.run(self._end())
        finally:
            self.run(self.loop.shutdown_asyncgens())
            self.loop.close()
            logging.getLogger("headrace").setLevel(logging.NOTSET)

    async def _end(self) -> None:
        assert self.topology is not None
        for stage in self.plan.stages.values():
            stage.notes.is_open = stage.notes.is_finishing = True
            stage.notes.crashes = 0
            stage.notes.permits.release()
        for _, reader in self.readers:
            await reader.aclose()
        for process in self.machine.processes.values():
            if isinstance(process, ProducerProcess):
                process.complete()
        if self.plan.is_stopped:
            outcome = await self.topology.stop()
        elif self.drain is None and not self.has_left:
            outcome = await asyncio.wait_for(self.topology.join(), 5)
            assert outcome.is_completed
        else:
            outcome = await (self.drain or self._drain())
            assert outcome.reason is None
            assert self.has_left or outcome.is_drained or outcome.is_completed
        if self.drain is not None:
            await self.drain
        assert all(process.state is State.ENDED for process in self.machine.processes.values())
        check_over(self.machine)
        self.check()
        self._check_receivers()
        if self.plan.is_acknowledged:
            self._check_told()

    def _check_receivers(self) -> None:
        """No event twice on plain edges; and while nobody leaves, the order of each sender is kept."""
        seen_by: dict[Event, list[str]] = {}
        for name, stage in self.plan.stages.items():
            seen = stage.notes.seen
            for event in seen:
                seen_by.setdefault(event, []).append(name)
            if self.plan.is_acknowledged:
                continue
            assert len(set(seen)) == len(seen)
            for sender, way in product(self.plan.stages if not self.has_left else (), ("made", "pushed")):
                numbers = [event.number for event in seen if (event.sender, event.way) == (sender, way)]
                assert numbers == sorted(numbers)
        for event, receivers in seen_by.items():
            if self.plan.stages[event.sender].settings.dispatcher == "demand":
                assert len(set(receivers)) == 1

    def _check_told(self) -> None:
        told = [stage.notes for stage in self.plan.stages.values() if stage.notes.name.startswith("source")]
        outcomes = [outcome for notes in told for outcome in notes.told.values()]
        assert all(len(outcome) == 1 for outcome in outcomes)
        assert len(outcomes) == sum(notes.emitted for notes in told)
        is_lost = self.has_been_read or any(discarded(process) for process in self.machine.processes.values())
        assert is_lost or all(outcome == [Outcome.DONE] for outcome in outcomes)


Machine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
TestMachine = pytest.mark.timeout(120)(Machine.TestCase)
