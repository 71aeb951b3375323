"""One run: the only place that knows start and drain order; `RunOutcome`."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, cast

from headrace.errors import ForeignThread, GraphError, NoProcess, ProcessError, StartFailed
from headrace.otp.process.process import Process, ProcessStatus
from headrace.otp.scheduler import every
from headrace.otp.supervision.supervisor import Supervisor
from headrace.pipeline.demand.window import Window
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.failure import DeadLetterHandler
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.flow.side_outputs import emit_to_side_output
from headrace.pipeline.flow.subscription import CancelMode, SubscribeTo, Subscription
from headrace.pipeline.flow.subscription_handle import SubscriptionHandle
from headrace.pipeline.topology.graph import ERRORS, STALL_SECONDS, GraphNode, circle_errors, node_errors, suggestion
from headrace.pipeline.topology.link import (
    Edges,
    Ends,
    RunContext,
    StageSpec,
    checked_target,
    input_of,
    kind_of,
    make_process,
    ordered,
    output_of,
    subscribe,
)
from headrace.pipeline.topology.outputs import UndeliveredEvents, intended_consumers, source_of
from headrace.pipeline.topology.stall import LAG_SECONDS, RunMonitor
from headrace.telemetry.counts import MetricNames
from headrace.telemetry.events import LOG


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended. `reason` is the error that ended it early, or None.

    `events_failed` counts events whose handling failed. `events_lost` counts events that were discarded by crashes,
    full buffers and the end of the run; `events_kept` of them are stored as dead letters. `input_lost` counts input
    that sources lost before it became events, by its kind (files, bytes, datagrams). `is_drained` says that a drain was
    requested and that all events were handled.
    """

    is_completed: bool
    reason: BaseException | None
    events_failed: int
    events_lost: int
    is_drained: bool
    events_kept: int = 0
    input_lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_fine(self) -> bool:
        """Whether the run completed or was drained, no event failed, and none was lost."""
        is_whole = not (self.events_failed or self.events_lost or any(self.input_lost.values()))
        return (self.is_completed or self.is_drained) and not self.reason and is_whole


DRAIN_SECONDS: Final = 30.0
"""How long a drain may take, by default."""


@dataclass(frozen=True, slots=True)
class SideOutputLink:
    """A side output, and the stage that emits by it."""

    of: StageProcess
    output: StageProcess


class Run:
    """Processes, subscriptions and the supervisor over them, from `start` until all have ended."""

    def __init__(
        self,
        name: str,
        specs: Mapping[str, StageSpec],
        cancel: CancelMode,
        supervisor: Supervisor,
        dead_letter_handler: DeadLetterHandler | None = None,
    ) -> None:
        self.name = name
        self.scheduler = scheduler = supervisor.scheduler
        self.supervisor = supervisor
        self._cancel: CancelMode = cancel
        self.drain_seconds = DRAIN_SECONDS
        self.stall_seconds: float | None = STALL_SECONDS
        self.is_draining = False
        self.is_drained = False
        self.is_stopping = False
        self._lag_task: asyncio.Task[None] | None = None
        scheduler.on_interrupt(self.interrupt)
        scheduler.telemetry.on_change(self._telemetry_changed)
        self.over: asyncio.Future[None] = scheduler.loop.create_future()
        self.processes: dict[str, StageProcess] = {}
        self.watch = RunMonitor(self.processes, scheduler.clock, None)
        self.edges = Edges()
        self._unfed: set[str] = set()
        self._restart_types = {name: spec.settings.restart for name, spec in specs.items()}
        self.sides: dict[str, SideOutputLink] = {}
        self._has_stopped_waiting = False
        self._undelivered_events = (
            None
            if dead_letter_handler is None
            else UndeliveredEvents(dead_letter_handler, scheduler, self._intended_consumers)
        )
        context = RunContext(dead_letter_handler, self._undelivered_events, MetricNames(), self.subscribe)
        for spec in ordered(specs):
            process = self.processes[spec.name] = make_process(spec, scheduler, context)
            if spec.side_of is not None:
                self._add_side_output(spec.side_of, spec.side, process)
            self._link(process, spec)
        self._nodes = {name: GraphNode(kind_of(process), is_later=True) for name, process in self.processes.items()}
        sources = [name for name, node in self._nodes.items() if node.kind == "producer"]
        self._ends = Ends(self.processes, sources, self.edges)
        self._completing_sides: list[SideOutputLink] = []
        self._sides_of: dict[str, list[SideOutputLink]] = {}
        for side in self.sides.values():
            self._sides_of.setdefault(side.of.name, []).append(side)

    def _link(self, process: StageProcess, spec: StageSpec) -> None:
        """Subscribe a stage to the producers in its spec. A stage without any may subscribe while it runs."""
        for to in spec.subscribe_to:
            self.edges.add(subscribe(process, self.processes[to.producer], to, self._cancel))
        process.unfed = self._unfed
        if process.is_waiting():
            self._unfed.add(process.name)

    def _intended_consumers(self, stage: str, event: object) -> list[str]:
        return intended_consumers(output_of(self.processes[stage], "it has no consumers"), self.edges, event)

    def _add_side_output(self, stage: str, name: str, output: StageProcess) -> None:
        """Emit events of a stage by a side output: its failed events, where that is `errors`."""
        emitter, stage_output, ingress = self.processes[stage], output.output, output.ingress
        if stage_output is None or ingress is None:
            return
        stage_output.is_acknowledged = input_of(emitter).is_acknowledged
        if name == ERRORS:
            emitter.failure = replace(emitter.failure, errors=partial(emit_to_side_output, ingress))
        else:
            emitter.side_outputs.add(name, ingress)
        self.sides[output.name] = SideOutputLink(emitter, output)

    def _telemetry_changed(self) -> None:
        for process in self.processes.values():
            process.telemetry_changed()

    async def start(self) -> None:
        """Start the supervisor, then the stages, consumers before producers.

        Raises `StartFailed` when the `init` of a stage fails, or a stage that was started before makes the run fail.
        All stages have been stopped then.
        """
        self.watch = RunMonitor(self.processes, self.scheduler.clock, self.stall_seconds)
        checks = every(LAG_SECONDS, self.watch.check)
        self._lag_task = self.scheduler.start_task(checks, copy_context(), f"{self.name} watch")
        self._lag_task.add_done_callback(self._loop_closes)
        self.supervisor.terminated.add_done_callback(lambda _: self._supervisor_ended())
        self.supervisor.start()
        try:
            await asyncio.shield(self.supervisor.started)
            for process in reversed(self.processes.values()):
                process.terminated.add_done_callback(partial(self._stage_ended, process.name))
                self.supervisor.supervise(cast("Process[object]", process), self._restart_types[process.name])
                await process.started
            self._one_ended()  # a run without stages is over at once
        except BaseException as error:
            await self.stop()
            reason = self.reason()
            if reason is None or not isinstance(error, ProcessError):
                raise
            raise StartFailed(self.name, reason) from reason

    def process(self, name: str) -> StageProcess:
        """Return the process of a stage; raises `GraphError` when there is no stage of that name."""
        if name not in self.processes:
            raise GraphError(name, f"does not exist; {suggestion(name, self.processes)}")
        return self.processes[name]

    def check_thread(self, what: str) -> None:
        """Raise `ForeignThread` unless the caller runs on the loop's own thread."""
        if not self.scheduler.is_own_thread():
            raise ForeignThread(what, "loop.call_soon_threadsafe or asyncio.run_coroutine_threadsafe")

    def subscribe(
        self, consumer_name: str, target: SubscribeTo | str, replaced: Subscription | None = None
    ) -> SubscriptionHandle:
        """Subscribe one stage to another while both run. A `replaced` subscription ends.

        Raises what `StageHandle.subscribe` raises; then nothing has changed.
        """
        to = source_of(checked_target(consumer_name, target))
        consumer, producer = self._ends_of(self.process(consumer_name), to, replaced)
        if replaced is not None and replaced.ended is None:
            consumer.end_subscription(replaced, "normal")
        subscription = subscribe(consumer, producer, to, self._cancel)
        if self.edges.add(subscription):
            self._ends.joined(producer.name, consumer.name)
        return SubscriptionHandle(subscription, consumer)

    def _ends_of(
        self, consumer: StageProcess, to: SubscribeTo, replaced: Subscription | None
    ) -> tuple[StageProcess, StageProcess]:
        """Return the two stages, if one can subscribe to the other."""
        self._check_edge(consumer.name, to.producer, replaced)
        stage_input, producer = input_of(consumer), self.processes[to.producer]
        stage_output = output_of(producer, "subscribe to what feeds it")
        if self.is_stopping or not consumer.may_subscribe():
            raise NoProcess(consumer.name)
        if producer.state is ProcessStatus.ENDED or stage_output.is_closed:
            raise NoProcess(to.producer)
        if stage_output.is_acknowledged and not stage_input.is_acknowledged:
            raise GraphError(
                consumer.name, f"takes plain events and {to.producer!r} sends messages: subscribe it before the start"
            )
        Window(to.max_demand, to.min_demand)
        stage_output.check(consumer, to, replaced)
        return consumer, producer

    def _check_edge(self, consumer: str, producer: str, replaced: Subscription | None) -> None:
        """Raise `GraphError` for an impossible edge. The check visits the stages upstream of the edge only."""
        times = 2 if self.edges.is_alive(producer, consumer, replaced) else 1
        node = replace(self._nodes[consumer], producers=(producer,) * times)
        for error in node_errors(consumer, node, self._nodes):
            raise error
        if self._closes_circle(consumer, producer):
            producers = {name: self._live_producers(name) for name in self.processes}
            producers[consumer] = (*producers[consumer], producer)
            for error in circle_errors(
                {name: replace(self._nodes[name], producers=of) for name, of in producers.items()}
            ):
                raise error

    def _closes_circle(self, consumer: str, producer: str) -> bool:
        stage_output = self.processes[consumer].output
        if stage_output is None or (producer != consumer and not stage_output.subscriptions):
            return False
        seen, stack = {producer}, [producer]
        while stack:
            name = stack.pop()
            if name == consumer:
                return True
            for one in self._live_producers(name):
                if one not in seen:
                    seen.add(one)
                    stack.append(one)
        return False

    def _live_producers(self, name: str) -> tuple[str, ...]:
        return tuple(edge.producer for edge in self.edges.to_consumer(name) if edge.is_alive)

    def _supervisor_ended(self) -> None:
        if self._lag_task is not None:
            self._lag_task.cancel()  # the caller of `stop` may have been cancelled meanwhile
        self._one_ended()

    def _stage_ended(self, name: str, _: object) -> None:
        self._ends.ended(name)
        self._completing_sides += self._sides_of.get(name, ())
        self._one_ended()

    def _one_ended(self) -> None:
        for side in self._completing_sides:
            if side.output.state is ProcessStatus.RUNNING:
                side.output.complete()  # its stage has ended, so it gets no more events
        self._completing_sides = [
            side for side in self._completing_sides if side.output.state is not ProcessStatus.ENDED
        ]
        self._end_idle_stages()
        if (self._ends.is_all or self.supervisor.state is ProcessStatus.ENDED) and not self.over.done():
            self.over.set_result(None)

    def _end_idle_stages(self) -> None:
        """End stages that would wait for ever, because all their consumers or all their producers have ended."""
        if self.is_draining or self.is_stopping or self.supervisor.state is not ProcessStatus.RUNNING:
            return
        for name in self._ends.unconsumed:
            process = self.processes[name]
            stage_output = process.output
            if stage_output is None or process.is_draining or stage_output.is_closed:
                self._ends.let_go(name)
            elif self._is_awaited():
                break
            elif not self._is_read(stage_output):
                LOG.warning("stage %r completes: all that took its events have ended", name)
                self._ends.let_go(name)
                process.drain()
        if self._ends.is_all_sources and not self._has_stopped_waiting:
            self._has_stopped_waiting = True
            self._stop_waiting()

    def _is_awaited(self) -> bool:
        """Return whether a stage subscribes to nothing for now, and may subscribe again."""
        while self._unfed:
            name = next(iter(self._unfed))
            if self.processes[name].is_waiting():
                return True
            self._unfed.remove(name)
        return False

    def _is_read(self, stage_output: StageOutput) -> bool:
        """Return whether a reader that is no stage subscribes to an output."""
        return any(one.consumer.name not in self.processes for one in stage_output.subscriptions)

    def _stop_waiting(self) -> None:
        for process in self.processes.values():
            process.stop_waiting()

    def start_drain(self) -> None:
        """Stop the intake of all producers. Events in progress are handled, and stages complete one after another."""
        self.is_draining = True
        for process in self.processes.values():
            process.resume()
            if process.name not in self.sides:
                process.drain()
        self._stop_waiting()

    def interrupt(self, error: BaseException) -> None:
        """Drain after a callback raised KeyboardInterrupt or SystemExit; kill stages that miss the deadline."""
        if not self.is_draining:
            LOG.warning("pipeline %r drains, because of %s in a callback", self.name, type(error).__name__)
            self.start_drain()
            self.scheduler.loop.call_later(self.drain_seconds, self._kill)

    def _loop_closes(self, _: asyncio.Task[None]) -> None:
        """Stop, rather than restart, when all tasks of the loop were cancelled: the loop is about to close."""
        if not self.is_stopping:
            self._kill()

    def _kill(self) -> None:
        self.is_stopping = True
        for process in reversed(self.processes.values()):
            process.kill()

    async def drain(self, deadline_seconds: float) -> None:
        """Take in nothing more, handle the events in progress, and let the stages complete.

        Stages that have not ended after `deadline_seconds` are stopped, and their events count as lost. Does nothing
        more than `stop` where the run is over.
        """
        if self.over.done():
            await self.stop()
            return
        self.start_drain()
        try:
            async with asyncio.timeout(deadline_seconds):
                await asyncio.shield(self.over)
            is_cut_off = any(process.reason == "shutdown" for process in self.processes.values())
            self.is_drained = self.reason() is None and not is_cut_off
        except TimeoutError:
            late = [name for name, process in self.processes.items() if process.state is not ProcessStatus.ENDED]
            keeping = "" if self._undelivered_events is not None else ", or set `dead_letters:`"
            LOG.error(
                "pipeline %r was not drained after %g s: %s did not end; for longer drains raise --drain-seconds%s",
                self.name,
                deadline_seconds,
                ", ".join(late),
                keeping,
            )
        await self.stop()

    async def stop(self) -> None:
        """Stop all stages at once, and wait until they have ended. They end also when this call is cancelled."""
        self._kill()
        self.supervisor.stop()
        await asyncio.shield(self.supervisor.terminated)
        if self._undelivered_events is not None:
            await self._undelivered_events.written()
        if self._lag_task is not None:
            await asyncio.wait({self._lag_task})

    def reason(self) -> BaseException | None:
        """Return the error that ended the run early, or None."""
        reason = self.supervisor.reason
        return reason if isinstance(reason, BaseException) else None

    def outcome(self) -> RunOutcome:
        """Return how the run ended, or its counts so far."""
        counts = [process.counts for process in self.processes.values()]
        lost = sum(count.discarded[reason] for count in counts for reason in ("overflow", "crash", "cancelled"))
        is_completed = all(
            process.state is ProcessStatus.ENDED and process.reason == "normal" for process in self.processes.values()
        )
        failed = sum(count.failed for count in counts)
        kept = 0 if self._undelivered_events is None else self._undelivered_events.kept_events
        input_lost: Counter[str] = Counter()
        for count in counts:
            input_lost.update(count.lost)
        return RunOutcome(is_completed, self.reason(), failed, lost, self.is_drained, kept, dict(input_lost))
