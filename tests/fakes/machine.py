"""A random machine on a loop of its own: it starts, is looked at between any two turns, and is brought to its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Final

import pytest
from hypothesis.stateful import RuleBasedStateMachine

from headrace.clock import Clock
from headrace.errors import BufferFull, NoProcess, ProcessDown, RestartsExhausted
from headrace.otp.process.process import ProcessStatus
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.engine.consuming import SupervisorStep
from headrace.pipeline.engine.producing import ProducerStep
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.flow.accumulator import DemandAccumulator
from headrace.pipeline.flow.ingress import Ingress
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.message import Outcome
from headrace.pipeline.topology.run import Run, RunOutcome
from headrace.pipeline.topology.topology import Topology
from tests.fakes.laws import check_over, discarded, inlet_of, outlet_of, queued
from tests.fakes.machine_lines import Lines, unwrapped
from tests.fakes.machine_loop import JumpingLoop
from tests.fakes.machine_notes import MADE_WHILE_PAUSED, WAYS, Event, MachineCrash, Notes
from tests.fakes.machine_plans import MOST_DEMAND, Plan
from tests.fakes.machine_stages import GATHERED
from tests.fakes.stepping import run_of

QUIET_STEPS: Final = 50_000
"""So many steps a machine may take to come to its rest."""

END_SECONDS: Final = 10.0
"""A machine in which nothing waits for the test ends within this time of its own clock, which stands while it turns."""

LATER_SECONDS: Final = 1e9
"""A deadline that is never reached."""


@dataclass(eq=False)
class Reader:
    """Somebody who reads a stage, and what was read."""

    producer: str
    stream: AsyncGenerator[object, None]
    got: list[Event] = field(default_factory=list)

    async def close(self, *, is_acknowledged: bool) -> None:
        """Leave; a message that was read last is delivered again, for the next one was not asked for."""
        await self.stream.aclose()
        if is_acknowledged and self.got:
            self.got.pop()


def pulled(process: StageProcess) -> int:
    """Return how many events came out of a stream that its producer's next turn emits."""
    pull = process.step.pull if isinstance(process.step, ProducerStep) else None
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


class MachineRoom(RuleBasedStateMachine):
    """What the rules of a random machine stand on: its laws, its rest and its end."""

    plan: Plan
    topology: Topology
    machine: Run
    lines: Lines

    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("headrace").setLevel(logging.CRITICAL)
        self.loop = JumpingLoop()
        self.is_begun = False
        self.drain: asyncio.Task[RunOutcome] | None = None
        self.waiting: list[asyncio.Task[None]] = []
        self.readers: list[Reader] = []
        self.former_readers: list[Reader] = []
        self.has_left = False
        self.has_been_read = False
        self.made_when_paused: dict[str, int] = {}

    @property
    def is_whole(self) -> bool:
        """Whether no stage has left, so that nothing was put back, and nobody's share went to another."""
        return not self.has_left and self.machine.reason() is None

    async def begin(self, plan: Plan) -> None:
        """Start a topology; its scheduler takes one turn in each iteration of the loop."""
        self.plan = plan
        self.topology = plan.build()
        self.topology.drain_seconds = LATER_SECONDS
        with pytest.MonkeyPatch.context() as patch:
            scheduler = partial(Scheduler, clock=Clock(monotonic=self.loop.clock), slice_seconds=0.0)
            patch.setattr("headrace.pipeline.topology.topology.Scheduler", scheduler)
            await self.topology.start()
        self.machine = run_of(self.topology)
        self.lines = Lines(self.machine, plan)
        for name, process in self.machine.processes.items():
            if process.ingress is not None:
                process.ingress._emit = partial(self._let_in, plan.stages[name].notes, process.emit_nowait)
        self.has_left = not plan.is_attended
        self.is_begun = True

    def _let_in(self, notes: Notes, emit: Callable[[list[object]], None], events: list[object]) -> None:
        """Note what goes in from outside, and let it go in."""
        notes.pushed += len(events)
        notes.let_in.update(event.number for event in unwrapped(events))
        emit(events)

    async def settle(self) -> None:
        """Return when nothing has anything to do by itself."""
        quiet = 0
        for _ in range(QUIET_STEPS):
            await asyncio.sleep(0)
            quiet = 0 if self.machine.scheduler._is_scheduled else quiet + 1
            if quiet > 5:
                return
        pytest.fail("the machine comes to no rest")

    async def read_on(self, reader: Reader, count: int) -> None:
        """Read up to `count` events; the reader leaves when none comes, and when the stage has ended."""
        for _ in range(count):
            reading = asyncio.ensure_future(anext(reader.stream, None))
            await self.settle()
            has_waited = not reading.done()
            reading.cancel()
            await asyncio.wait([reading])
            ends = MachineCrash | ProcessDown | NoProcess  # the last, where the stage was linked to one that has ended
            if has_waited or isinstance(reading.exception(), ends) or reading.result() is None:
                self.readers.remove(reader)
                self.former_readers.append(reader)
                return
            reader.got += unwrapped([reading.result()])

    async def drained(self) -> RunOutcome:
        """Drain, for as long as that takes."""
        return await self.topology.drain(deadline_seconds=LATER_SECONDS)

    # laws

    def check(self) -> None:
        """Assert what holds between any two turns: demand, order, bounds, and that every event is accounted for."""
        self.lines.check()
        self._check_paused()
        for name, process in self.machine.processes.items():
            notes = self.plan.stages[name].notes
            inlet, outlet = inlet_of(process), outlet_of(process)
            fate = discarded(process)
            if inlet is not None:
                fate -= inlet.received() - notes.handled
                fate = self._fate_of_children(process, inlet, fate) if self.plan.stages[name].has_children else fate
                got = sum(edge.delivered for edge in self.machine.edges.to_consumer(name))
                assert got == inlet.received() + inlet.in_flight()
            if outlet is not None:
                fate -= notes.made + notes.pushed - outlet.sent() - outlet.buffered() - pulled(process)
                sent = sum(edge.delivered for edge in self.machine.edges.from_producer(name))
                assert self.has_been_read or not outlet.dispatcher.can_redeliver or outlet.sent() == sent
                assert not self.is_whole or outlet.buffer.size - outlet.buffer.asked <= self._buffer_bound(name, outlet)
            assert fate == 0 or self.plan.stages[name].may_redo, (name, fate)

    def _check_paused(self) -> None:
        """A paused source makes no more than the event in flight."""
        for name, made in self.made_when_paused.items():
            stage = self.plan.stages[name]
            most = MADE_WHILE_PAUSED.get(stage.form)
            assert not self.machine.processes[name].is_paused or most is None or stage.notes.made <= made + most

    def _fate_of_children(self, process: StageProcess, inlet: StageInput, fate: int) -> int:
        """A child has handled its event some turns before it has ended; at most one of each event in flight.

        One that goes on though its subscription has been closed has not handled, nor discarded, what was received.
        """
        if process.state is ProcessStatus.ENDED:
            return fate
        step = process.step
        assert isinstance(step, SupervisorStep)
        assert -len(step.children.entries) - len(step._cut_off) <= fate <= inlet.in_flight()
        for subscription in inlet.subscriptions:
            assert 0 <= subscription.window.outstanding <= MOST_DEMAND
        return 0

    def _buffer_bound(self, name: str, outlet: StageOutput) -> int:
        """Return how much a stage may buffer: its limit; without one, one delivery's outputs and what was pushed."""
        stage = self.plan.stages[name]
        if outlet.buffer.limit is not None:
            return outlet.buffer.limit
        most = MOST_DEMAND + GATHERED if stage.subscribe_to else 0
        most *= stage.settings.concurrency.limit
        return most * stage.width + stage.notes.pushed + stage.notes.lasts

    def check_rest(self) -> None:
        """Assert that at rest every ask was heard, and nothing stays in a buffer that could be delivered."""
        for process in self.machine.processes.values():
            if process.state is not ProcessStatus.RUNNING:
                continue
            outlet = outlet_of(process)
            # A failing dispatcher crashes its stage once the callback has returned.
            is_failing = outlet is not None and outlet.safe_dispatcher.is_failing
            if outlet is not None and not is_failing and not isinstance(outlet.dispatcher, DemandAccumulator):
                assert all(subscription.asked == 0 for subscription in outlet.subscriptions)
                assert outlet.buffer.size == 0 or outlet.dispatcher.unmet() == 0
            inlet = inlet_of(process)
            if process.ingress is not None:
                self._check_entrance(process.ingress)
            is_free = not (process.is_busy or process.is_paused)
            if inlet is not None and outlet is None and is_free and not process.step.has_children:
                assert inlet.in_flight() == 0
                assert not any(one.queue for one in inlet.subscriptions)

    def _check_entrance(self, ingress: Ingress) -> None:
        """Whoever still waits for room has none."""
        if ingress._waiting:
            first = ingress._waiting[0]
            rest = len(first.events) - first.taken
            assert not first.done.done()
            assert ingress.room() < min(rest, max(1, ingress._limit))

    # the end

    def teardown(self) -> None:
        try:
            if self.is_begun:
                self.loop.run(self._end())
        finally:
            self.loop.run(self.loop.shutdown_asyncgens())
            self.loop.close()
            logging.getLogger("headrace").setLevel(logging.NOTSET)

    def let_go_on(self) -> None:
        """Take back what was said to stages that keeps them waiting."""

    async def _end(self) -> None:
        self._open()
        self.let_go_on()
        for reader in self.readers:
            await reader.close(is_acknowledged=self.plan.is_acknowledged)
        for process in self.machine.processes.values():
            if process.input is None:
                process.complete()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._come_to_an_end()
        except TimeoutError:
            pytest.fail(f"the machine comes to no end:\n{described(self.machine)}")
        assert all(process.state is ProcessStatus.ENDED for process in self.machine.processes.values())
        check_over(self.machine)
        self.check()
        self._check_receivers()
        self._check_infos()
        if self.plan.is_acknowledged:
            self._check_told()

    def _open(self) -> None:
        """Let nothing wait for the test any more, and nothing crash."""
        for stage in self.plan.stages.values():
            stage.notes.is_open = stage.notes.is_finishing = True
            stage.notes.crashes.clear()
            stage.notes.failing_inits = 0
            stage.notes.listens = stage.notes.listens and "automatic"
            for _ in range(MOST_DEMAND * len(self.plan.stages)):
                stage.notes.permits.release()

    async def _come_to_an_end(self) -> None:
        if self.plan.is_stopped:
            outcome = await self.topology.stop()
        elif self.drain is None and self.is_whole:
            outcome = await self.topology.join()
            assert outcome.is_completed
        else:
            outcome = await (self.drain or self.drained())
            assert not self.is_whole or outcome.is_drained or outcome.is_completed
        assert outcome.reason is None or (self.plan.may_fail and isinstance(outcome.reason, RestartsExhausted))
        if self.drain is not None:
            await self.drain
        for error in await asyncio.gather(*self.waiting, return_exceptions=True):
            assert error is None or isinstance(error, NoProcess | BufferFull | asyncio.CancelledError)

    def _check_receivers(self) -> None:
        """No event twice on plain edges; and while nobody leaves, the order of each sender is kept."""
        seen_by: dict[Event, list[str]] = {}
        for number, reader in enumerate([*self.readers, *self.former_readers]):
            assert len(set(reader.got)) == len(reader.got)
            for event in reader.got:
                seen_by.setdefault(event, []).append(f"reader {number}")
        for name, stage in self.plan.stages.items():
            seen = stage.notes.seen
            for event in seen:
                seen_by.setdefault(event, []).append(name)
            assert self.plan.is_acknowledged or len(set(seen)) == len(seen)
            for sender, way in product(self.plan.stages if self.is_whole else (), WAYS):
                numbers = [event.number for event in seen if (event.sender, event.way) == (sender, way)]
                is_ordered = stage.keeps_order and not self.plan.stages[sender].is_concurrent
                assert self.plan.is_acknowledged or not is_ordered or numbers == sorted(numbers)
        for event, receivers in seen_by.items():
            has_held = any(name in self.plan.stages and self.plan.stages[name].gathers for name in receivers)
            is_again = has_held and self.plan.is_acknowledged  # what was held comes again, and may go to another then
            if self.plan.stages[event.sender].kind != "broadcast":
                assert len(set(receivers)) == 1 or is_again

    def _check_infos(self) -> None:
        """A message comes once, in order; and it comes, unless its stage crashed or was ended."""
        for name, stage in self.plan.stages.items():
            notes, process = stage.notes, self.machine.processes[name]
            assert notes.infos == sorted(set(notes.infos))
            has_lived = process.restarts == 0 and process.reason == "normal" and self.is_whole
            assert not has_lived or len(notes.infos) == notes.told_infos

    def _check_told(self) -> None:
        """Every message's source hears once what became of it; of what was lost or read, maybe that it failed."""
        told = [stage.notes for stage in self.plan.stages.values() if stage.notes.name.startswith("source")]
        outcomes = [outcome for notes in told for outcome in notes.told.values()]
        assert all(len(outcome) == 1 for outcome in outcomes)
        assert len(outcomes) == sum(notes.emitted - notes.kept_out for notes in told)
        is_lost = self.has_been_read or any(discarded(process) for process in self.machine.processes.values())
        assert is_lost or all(outcome == [Outcome.DONE] for outcome in outcomes)
