"""Rules of the random machine for what is said to stages while they run: subscriptions, pauses, demand, buffers."""

import asyncio
from contextlib import suppress

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from headrace.errors import DemandError, GraphError, NoProcess, SubscriptionError
from headrace.otp.process.process import ProcessStatus
from headrace.pipeline.flow.subscription_handle import SubscriptionHandle
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.handle import StageHandle
from tests.fakes.machine import MachineRoom
from tests.fakes.machine_lines import unwrapped
from tests.fakes.machine_plans import StagePlan, edges, names


class SubscribingRoom(MachineRoom):
    """Subscribes, cancels, asks by hand and changes demand; pauses, accumulates and resizes."""

    def one_of(self, data: st.DataObject, *kinds: str) -> StagePlan:
        """Draw a stage of one of these kinds, or of any."""
        among = [name for kind in kinds for name in names(self.plan, kind)] or list(self.plan.stages)
        return self.plan.stages[data.draw(st.sampled_from(among))]

    def handle(self, stage: StagePlan) -> StageHandle[Stage]:
        """Return the handle of a stage."""
        return self.topology.stage(stage.notes.name)

    @rule(data=st.data())
    def subscribe(self, data: st.DataObject) -> None:
        consumer, producer = self.one_of(data, "middle", "sink"), self.one_of(data, "source", "middle")
        to = data.draw(edges(producer))
        before = [edge.snapshot() for edge in self.machine.edges]
        try:
            self.handle(consumer).subscribe(to)
        except (GraphError, NoProcess, SubscriptionError):
            assert [edge.snapshot() for edge in self.machine.edges] == before
        self.check()

    def _subscription(self, data: st.DataObject) -> SubscriptionHandle | None:
        found = self.handle(self.one_of(data, "middle", "sink")).subscriptions()
        found.sort(key=lambda one: one.producer)
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if (subscription := self._subscription(data)) is not None:
            self.has_left = True
            subscription.cancel()
            self.lines.forget(subscription.consumer, subscription.producer)
            self.check()

    @rule(data=st.data())
    def resubscribe(self, data: st.DataObject) -> None:
        if (subscription := self._subscription(data)) is not None:
            self.has_left = True
            with suppress(NoProcess, SubscriptionError):
                subscription.resubscribe(data.draw(edges(self.plan.stages[subscription.producer])))
            self.lines.forget(subscription.consumer, subscription.producer)
            self.check()

    @rule(data=st.data())
    def cancel_from_producer(self, data: st.DataObject) -> None:
        stage = self.one_of(data, "source", "middle")
        mine = [one for one in stage.notes.handles if one.producer == stage.notes.name]
        if mine:
            self.has_left = True
            data.draw(st.sampled_from(mine)).cancel()
            self.check()

    @rule(data=st.data(), most=st.integers(1, 20))
    def change(self, data: st.DataObject, most: int) -> None:
        if (subscription := self._subscription(data)) is not None:
            subscription.change(most, data.draw(st.integers(0, most - 1)))
            self.check()

    @rule(data=st.data(), demand=st.integers(0, 20))
    def ask(self, data: st.DataObject, demand: int) -> None:
        subscription = self._subscription(data)
        if subscription is not None and subscription.is_manual:
            with suppress(DemandError):
                subscription.ask(demand)
            self.check()

    @rule(data=st.data(), is_paused=st.booleans())
    def pause(self, data: st.DataObject, *, is_paused: bool) -> None:
        self._pause(self.one_of(data), is_paused=is_paused)

    @rule(data=st.data(), steps=st.integers(1, 20), is_resumed=st.booleans())
    def pause_source(self, data: st.DataObject, steps: int, *, is_resumed: bool) -> None:
        """Pause a source while it emits, and look at it for a while."""
        stage = self.one_of(data, "source")
        stage.notes.supply += 50
        for is_paused in (False, True):
            self._pause(stage, is_paused=is_paused)
            for _ in range(steps):
                self.step_once()
        if is_resumed:
            self._pause(stage, is_paused=False)

    def _pause(self, stage: StagePlan, *, is_paused: bool) -> None:
        handle = self.handle(stage)
        (handle.pause if is_paused else handle.resume)()
        assert handle.is_paused is is_paused or self.machine.is_draining  # which pauses nothing
        if is_paused and stage.notes.name.startswith("source"):
            self.made_when_paused.setdefault(stage.notes.name, stage.notes.made)
        else:
            self.made_when_paused.pop(stage.notes.name, None)

    @rule(data=st.data(), limit=st.integers(1, 4))
    def scale(self, data: st.DataObject, limit: int) -> None:
        stage = self.one_of(data, "middle", "sink")
        if stage.is_concurrent and self.machine.processes[stage.notes.name].state is ProcessStatus.RUNNING:
            self.handle(stage).scale(limit)
            self.check()

    @rule(data=st.data(), is_open=st.booleans())
    def accumulate(self, data: st.DataObject, *, is_open: bool) -> None:
        self.handle(self.one_of(data, "source", "middle")).demand("forward" if is_open else "accumulate")
        self.check()

    @precondition(lambda self: self.is_whole)
    @rule(data=st.data(), size=st.one_of(st.none(), st.integers(0, 20)))
    def resize(self, data: st.DataObject, size: int | None) -> None:
        self.handle(self.one_of(data, "source", "middle")).resize(size, "first")
        self.check()

    @rule(data=st.data())
    def info(self, data: st.DataObject) -> None:
        stage = self.one_of(data)
        if self.machine.processes[stage.notes.name].state is ProcessStatus.RUNNING:
            stage.notes.told_infos += 1
            self.handle(stage).info(stage.notes.told_infos)
            self.check()

    @rule(data=st.data(), count=st.integers(0, 30), can_wait=st.booleans())
    def let_in(self, data: st.DataObject, count: int, *, can_wait: bool) -> None:
        stage = self.one_of(data, "source", "middle")
        notes = stage.notes
        is_source = notes.name.startswith("source")
        events = [notes.at_source("let in") if is_source else notes.new("let in") for _ in range(count)]
        self.waiting.append(self.loop.create_task(self._let_all_in(stage, events, can_wait=can_wait)))
        self.step_once()

    async def _let_all_in(self, stage: StagePlan, events: list[object], *, can_wait: bool) -> None:
        handle = self.handle(stage)
        try:
            if can_wait:
                await handle.emit(events)
            else:
                handle.emit_nowait(events)
        finally:
            stage.notes.kept_out += sum(event.number not in stage.notes.let_in for event in unwrapped(events))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        self.waiting[data.draw(st.integers(0, len(self.waiting) - 1))].cancel()
        self.step_once()

    def step_once(self) -> None:
        """Let the loop run one iteration."""
        self.loop.run(asyncio.sleep(0))
        self.check()

    def let_go_on(self) -> None:
        """Let nothing wait for this test any more: resume, forward, and ask by hand no more."""
        for name in self.plan.stages:
            handle = self.topology.stage(name)
            handle.resume()
            if not name.startswith("sink"):
                handle.demand("forward")
            for subscription in handle.subscriptions():
                if subscription.is_manual:
                    self.has_left = True
                    subscription.cancel()
                    self.lines.forget(subscription.consumer, subscription.producer)
