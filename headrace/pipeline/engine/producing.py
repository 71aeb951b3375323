"""The steps of producers and producer-consumers (hot path)."""

import asyncio
import inspect
from collections.abc import AsyncIterable, Callable, Iterator
from functools import partial
from typing import cast

from typing_extensions import override

from headrace.otp.process.process import ProcessStatus
from headrace.otp.scheduler import (
    BLOCKED,
    HANDLED,
    HANDLED_BLOCKED,
    HANDLED_MORE,
    IDLE,
    MORE,
    SLICE_SECONDS,
)
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.engine.subscribing import Step
from headrace.pipeline.engine.units import EventHandler
from headrace.pipeline.flow.ingress import AsyncGenerator, SyncGenerator, iterated
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.stage.producer import Producer, ProducerRuntime
from headrace.pipeline.stage.producer_consumer import ProducerConsumer, ProducerConsumerRuntime
from headrace.pipeline.stage.stage import Stage, as_list


class ProducerStep(Step):
    """Reports new demand to `handle_demand`, and emits the events that it returns or that a kept stream yields."""

    __slots__ = ("_handle_demand", "output", "pull")

    process: StageProcess
    output: StageOutput

    def __init__(self, stage_output: StageOutput) -> None:
        self.output = stage_output
        self.pull: SyncGenerator | AsyncGenerator | None = None

    @override
    def bound(self, callbacks: Stage) -> None:
        producer, process = cast("Producer[object]", callbacks), self.process
        runtime = ProducerRuntime(process.counts, process.processing, process)
        producer._runtime = runtime  # noqa: SLF001 - the runtime stands behind the base class
        self._handle_demand: Callable[[int], object] = producer.handle_demand

    @override
    def turn(self) -> int:
        process = self.process
        if process.has_control:
            return process.handle_control()
        stage_output, ledger = self.output, process.ledger
        single = stage_output.single
        unmet = single.pending if single is not None and not stage_output.buffer.size else stage_output.collect()
        demand = ledger.report(unmet)
        if self.pull is not None:
            self.pull.want(demand)
            return self._go_on(self.pull)
        if not demand:
            return IDLE if ledger.owed else BLOCKED
        events = self._handle_demand(demand)
        if type(events) is not list:
            self._take(demand, events)
            return HANDLED_MORE
        size = len(events)
        single = stage_output.single  # the callback may have subscribed a stage, or have begun to accumulate
        # The send to a single subscriber repeats `StageOutput.emit`: 0.4 us a batch at 10/5 (10 %).
        if single is not None and 0 < size <= single.pending and not stage_output.buffer.size:
            ledger.emitted(size)
            single.send(events, process.scheduler.now, size)
        else:
            process.emit_nowait(events)
        return HANDLED_BLOCKED if size == demand else HANDLED

    def _take(self, demand: int, events: object) -> None:
        """Emit the events that `handle_demand` returned, keep a stream of them, or await either.

        A stream of aiostream's can be awaited, too, for its last event: it is pulled all the same.
        """
        process = self.process
        if isinstance(events, list):
            process.emit_nowait(events)
        elif isinstance(events, AsyncIterable):
            wake, clock = partial(process.scheduler.wake, process.turns), process.scheduler.clock
            self.pull = AsyncGenerator(iterated(events), demand, wake, clock, SLICE_SECONDS)
        elif inspect.isawaitable(events):
            process.drive(events, partial(self._taken_later, demand, process.scheduler.clock()))
        elif isinstance(events, Iterator):
            self.pull = SyncGenerator(events, demand, process.scheduler.clock, SLICE_SECONDS)
        else:
            process.emit_nowait(as_list(process.name, "handle_demand", events))

    def _taken_later(self, demand: int, since: float, events: object) -> None:
        size = len(events) if isinstance(events, list) else 0
        self.process.batch_handled(self.process.scheduler.clock() - since, size)
        self._take(demand, events)

    def _go_on(self, pull: SyncGenerator | AsyncGenerator) -> int:
        """Emit the events that the stream has yielded, and pull it further."""
        process, events = self.process, pull.take()
        if events:
            process.emit_nowait(events)
        if pull.has_ended:
            self.pull = None
            process.ledger.withdraw(min(pull.wanted, pull.wanted_later))
            return HANDLED_MORE
        if not pull.wanted:
            return HANDLED_BLOCKED if events else BLOCKED
        if isinstance(pull, SyncGenerator):
            return HANDLED_MORE
        pull.gives_way = False
        if not pull.is_running:
            pull.is_running = True
            process.driver.run(pull.run(), partial(self._pulled, pull))
        return HANDLED if events else IDLE

    def _pulled(self, pull: AsyncGenerator, _: object, error: BaseException | None) -> None:
        process = self.process
        pull.is_running = False
        is_asked_for = isinstance(error, asyncio.CancelledError) and process.is_draining
        if error is not None and not is_asked_for and process.state is ProcessStatus.RUNNING:
            process.turn_failed(error)
            process.scheduler.interrupt(error)
        process.schedule_control()

    @override
    def control(self) -> int | None:
        pull, process = self.pull, self.process
        if isinstance(pull, AsyncGenerator) and pull.is_running:
            return self._control_pull(pull)
        if pull is None or not process.is_completing or process.mailbox:
            return None
        if pull.wanted and not process.is_draining:
            return IDLE if process.is_paused else self._go_on(pull)
        process.emit_nowait(pull.rest())
        return None

    def _control_pull(self, pull: AsyncGenerator) -> int:
        """End the stream in a drain; else handle mail while the stream waits, and pull on unless paused."""
        process = self.process
        if process.is_completing and process.is_draining:
            self.output.collect()
            process.driver.cancel()
            return IDLE
        if process.mailbox:
            self.serve()
            process.take_mail()
            return MORE
        if process.is_paused:
            process.serve()
            return IDLE
        if process.is_completing:
            self.output.collect()
            return self._go_on(pull)
        process.has_control = False
        return HANDLED_MORE if self._go_on(pull) >= HANDLED else MORE

    @override
    def serve(self) -> None:
        if isinstance(self.pull, AsyncGenerator) and (events := self.pull.take()):
            self.process.emit_nowait(events)

    @override
    def give_way(self) -> None:
        if isinstance(self.pull, AsyncGenerator):
            self.pull.gives_way = True

    @override
    def begin_replacement(self) -> None:
        super().begin_replacement()
        if self.process.is_busy:
            self.process.cancel_later()

    @override
    def requeue(self) -> None:
        if self.pull is not None:
            self.process.emit_nowait(self.pull.rest())

    @override
    def release(self) -> object:
        pull, self.pull = self.pull, None
        if pull is None:
            return None
        if isinstance(pull, AsyncGenerator) and pull.is_running:
            self.process.driver.cancel()
        return pull.close()


class ProducerConsumerStep(Step):
    """Handles a batch while its subscribers have unmet demand (GenStage's rule: one whole delivery may overshoot)."""

    __slots__ = ("_handle_events", "input", "output")

    process: StageProcess
    input: StageInput
    output: StageOutput

    def __init__(self, stage_input: StageInput, stage_output: StageOutput) -> None:
        self.input = stage_input
        self.output = stage_output

    @override
    def bound(self, callbacks: Stage) -> None:
        stage, process = cast("ProducerConsumer[object, object]", callbacks), self.process
        self._handle_events: EventHandler = process.handling(stage)
        runtime = ProducerConsumerRuntime(process.counts, process.processing, process, process, process.side_outputs)
        stage._runtime = runtime  # noqa: SLF001 - the runtime stands behind the base class

    @override
    def turn(self) -> int:  # noqa: C901, PLR0911 - the hot path: one function, so that a batch costs no further call
        process = self.process
        if process.has_control:
            return process.handle_control()
        stage_input, stage_output = self.input, self.output
        single = stage_output.single
        unmet = single.pending if single is not None and not stage_output.buffer.size else stage_output.collect()
        # The dequeue repeats `StageInput.next_batch`: with the send below 0.35 us a batch at 10/5 (12 %).
        subscription = stage_input.first
        queue = subscription.queue
        if not queue:
            waiting = stage_input.waiting()
            if waiting is None:
                return IDLE
            subscription, queue = waiting, waiting.queue
        if unmet <= 0 and not subscription.offset and queue[0][0] is not None:
            return self._shed() if process.is_draining and not stage_output.subscriptions else BLOCKED
        events, ingested_at = queue.popleft()
        if events is None:
            return process.end_of(subscription)
        if subscription.offset or len(events) > subscription.window.batch_size:
            events = subscription.cut(events, ingested_at)
        size = len(events)
        try:
            outputs = self._handle_events(events)
            if type(outputs) is not list:
                if inspect.isawaitable(outputs):
                    stage_input.start_batch(subscription, events, ingested_at, size)
                    process.drive(outputs, partial(self._handled_later, process.scheduler.clock()))
                    return IDLE
                outputs = as_list(process.name, "handle_events", outputs)
        except BaseException:
            stage_input.start_batch(subscription, events, ingested_at, size)
            raise
        single = stage_output.single  # the callback may have subscribed a stage, or have begun to accumulate
        # The send to a single subscriber repeats `StageOutput.emit`; the dequeue above has the figure.
        if single is not None and 0 < len(outputs) <= single.pending:
            single.send(outputs, ingested_at, len(outputs))
        else:
            stage_output.emit(outputs, ingested_at)
        subscription.handled(size)
        if stage_input.is_single:
            return HANDLED_MORE if queue else HANDLED
        stage_input.rotate(subscription)
        return HANDLED_MORE

    def _shed(self) -> int:
        """Discard a batch without a subscriber; the next turn acts on an end that is at the head instead."""
        waiting = self.input.waiting()
        if waiting is not None and waiting.queue[0][0] is not None:
            batch = self.input.next_batch()
            self.output.discard(cast("list[object]", batch), "cancelled")
            self.input.finish_batch()
        return MORE

    def _handled_later(self, since: float, outputs: object) -> None:
        process = self.process
        events = as_list(process.name, "handle_events", outputs)
        if not process.processing.is_concurrent:
            process.batch_handled(process.scheduler.clock() - since, self.input.current_size)
        self.output.emit(events, self.input.ingested_at)
        self.input.finish_batch()
        process.side_outputs.take_emitted()  # the callback cut them off itself, and went on


class AnsweringStep(ProducerConsumerStep):
    """Reports new demand to the `handle_demand` of a producer-consumer; events from upstream meet the rest.

    `_reported` is the reported demand: events sent and unmet demand together.
    """

    __slots__ = ("_handle_demand", "_reported")

    @override
    def bound(self, callbacks: Stage) -> None:
        super().bound(callbacks)
        self._handle_demand: Callable[[int], object] = cast("ProducerConsumer[object, object]", callbacks).handle_demand
        self._reported = self.output.sent()

    @override
    def turn(self) -> int:
        process = self.process
        if not process.has_control:
            unmet = self.output.collect()
            asked = self.output.sent() + unmet
            demand = min(asked - self._reported, unmet)
            if demand > 0:
                self._reported = asked
                return self._answer(demand)
        return super().turn()

    def _answer(self, demand: int) -> int:
        process = self.process
        returned = self._handle_demand(demand)
        if not inspect.isawaitable(returned):
            process.take_returned("handle_demand", returned)
            return HANDLED_MORE
        process.drive(returned, partial(self._answered_later, process.scheduler.clock()))
        return IDLE

    def _answered_later(self, since: float, returned: object) -> None:
        size = len(returned) if isinstance(returned, list) else 0
        self.process.batch_handled(self.process.scheduler.clock() - since, size)
        self.process.take_returned("handle_demand", returned)
