"""A random machine, driven turn by turn: the laws of demand and conservation hold between any two turns.

`HEADRACE_MACHINE_STEPS=100000 make test ARGS=tests/pipeline/topology/test_machine.py` takes more steps than usual.
"""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import Final, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.ref import Ref
from tests.fakes.machine import Reader
from tests.fakes.machine_mail import crash_now, link_now, push_now, stop_now
from tests.fakes.machine_notes import CRASHES, MachineCrash
from tests.fakes.machine_plans import Plan, StagePlan, plans
from tests.fakes.machine_slips import SlippingRoom

STEPS: Final = int(os.environ.get("HEADRACE_MACHINE_STEPS", "6000"))
"""Rules to be applied in all; each lets the machine take up to some dozens of turns."""

STEPS_EACH: Final = 40


class Machine(SlippingRoom):
    """Steps, bursts, crashes, permits, readers, consumers that leave, and a drain in the middle of it all."""

    @initialize(plan=plans())
    def start(self, plan: Plan) -> None:
        for stage in plan.stages.values():
            stage.notes.supply = 20
        self.loop.run(self.begin(plan))
        self.check()

    # time

    @rule(steps=st.integers(1, 30))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            self.step_once()

    @rule()
    def rest(self) -> None:
        self.loop.run(self.settle())
        self.check()
        self.check_rest()

    @rule(seconds=st.sampled_from([0.04, 0.06, 1.0]))
    def wait(self, seconds: float) -> None:
        self.loop.run(asyncio.sleep(seconds))
        self.check()

    # work, slow and quick

    @rule(data=st.data(), count=st.integers(1, 100))
    def supply(self, data: st.DataObject, count: int) -> None:
        self.one_of(data, "source", "middle").notes.supply += count

    @rule(data=st.data(), count=st.integers(1, 30))
    def push(self, data: st.DataObject, count: int) -> None:
        stage = self.one_of(data, "source", "middle")
        process = self.machine.processes[stage.notes.name]
        assert process.output is not None
        is_source = stage.notes.name.startswith("source")
        notes = stage.notes
        process.emit_nowait([notes.at_source("pushed") if is_source else notes.new("pushed") for _ in range(count)])
        notes.pushed += count
        self.check()

    @rule(data=st.data(), count=st.integers(1, 30))
    def push_by_mail(self, data: st.DataObject, count: int) -> None:
        self._mail(self.one_of(data, "source", "middle"), partial(push_now, count))

    @rule(data=st.data(), count=st.integers(1, 5))
    def permit(self, data: st.DataObject, count: int) -> None:
        notes = self.one_of(data).notes
        for _ in range(count):
            notes.permits.release()

    @rule(data=st.data(), is_quick=st.booleans())
    def change_pace(self, data: st.DataObject, *, is_quick: bool) -> None:
        notes = self.one_of(data).notes
        notes.is_open = is_quick
        if is_quick:
            notes.permits.release()

    # harm

    @rule(data=st.data(), error=st.sampled_from(CRASHES))
    def crash(self, data: st.DataObject, error: type[BaseException]) -> None:
        stage = self.one_of(data)
        stage.notes.crashes.append(error)
        self._crashes(stage)

    @rule(data=st.data(), error=st.sampled_from(CRASHES))
    def crash_by_mail(self, data: st.DataObject, error: type[BaseException]) -> None:
        stage = self.one_of(data)
        self._mail(stage, partial(crash_now, error))
        self._crashes(stage)

    @rule(data=st.data())
    def cancel_from_outside(self, data: st.DataObject) -> None:
        stage = self.one_of(data)
        task = self.machine.processes[stage.notes.name].driver._task
        if task is not None and not task.done():
            task.cancel()
            self._crashes(stage)
        self.check()

    @rule(data=st.data(), reason=st.sampled_from(["normal", "shutdown", MachineCrash("stop")]))
    def stop_itself(self, data: st.DataObject, reason: ExitReason) -> None:
        self.has_left = True
        self._mail(self.one_of(data), partial(stop_now, reason))

    @rule(data=st.data())
    def link(self, data: st.DataObject) -> None:
        self.has_left = True
        stage, other = self.one_of(data), self.one_of(data)
        if stage is not other:
            self._mail(stage, partial(link_now, self.handle(other).ref))

    @rule(data=st.data())
    def fail_to_begin(self, data: st.DataObject) -> None:
        self.one_of(data).notes.failing_inits += 1

    def _mail(self, stage: StagePlan, function: Callable[[object], None]) -> None:
        process = self.machine.processes[stage.notes.name]
        if process.state is not ProcessStatus.ENDED:
            Ref(cast("Process[object]", process)).cast_nowait(function)

    def _crashes(self, stage: StagePlan) -> None:
        self.has_left |= stage.settings.restart == "temporary"

    # ends

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.one_of(data, "source").notes.is_finishing = True

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.has_left = True
        self.machine.processes[self.one_of(data).notes.name].stop()
        self.check()

    @precondition(lambda self: self.drain is None)
    @rule()
    def start_drain(self) -> None:
        self.drain = self.loop.create_task(self.drained())
        self.step(3)

    # readers

    @precondition(lambda self: len(self.readers) < 2)
    @rule(data=st.data(), most=st.integers(1, 20))
    def open_reader(self, data: st.DataObject, most: int) -> None:
        stage = self.one_of(data, "source", "middle")
        if stage.kind == "partition":
            return
        self.readers.append(Reader(stage.notes.name, self.handle(stage).stream(most)))
        self.has_left = self.has_been_read = True
        self.loop.run(self.read_on(self.readers[-1], 1))
        self.check()

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), count=st.integers(1, 10))
    def read(self, data: st.DataObject, count: int) -> None:
        self.loop.run(self.read_on(data.draw(st.sampled_from(self.readers)), count))
        self.check()

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def close_reader(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        self.readers.remove(reader)
        self.former_readers.append(reader)
        self.loop.run(reader.close(is_acknowledged=self.plan.is_acknowledged))
        self.check()


Machine.TestCase.settings = settings(
    max_examples=max(1, STEPS // STEPS_EACH),
    stateful_step_count=STEPS_EACH,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
TestMachine = pytest.mark.timeout(60 + STEPS / 50)(Machine.TestCase)
