"""A supervised set of subscribed stages: added by name, started together, run to the end, drained or stopped."""

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self, TypeVar, get_args

from headrace.errors import BadOption, GraphError, NoProcess
from headrace.otp.process.state import check_count, check_seconds, check_timeout
from headrace.otp.ref import check_end_of
from headrace.otp.scheduler import Scheduler
from headrace.otp.supervision.restart import MAX_RESTARTS, MAX_SECONDS
from headrace.otp.supervision.supervisor import Supervisor
from headrace.pipeline.failure import DeadLetterHandler, Redact
from headrace.pipeline.flow.subscription import CancelMode
from headrace.pipeline.stage.callbacks import check_callback
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.stage import Stage, events_given
from headrace.pipeline.topology.change import Change, check_replacement, replace_stage
from headrace.pipeline.topology.graph import STALL_SECONDS, suggestion
from headrace.pipeline.topology.handle import StageHandle, SubscribeTarget, target
from headrace.pipeline.topology.link import StageSpec, ingress_of, ordered
from headrace.pipeline.topology.outputs import with_named_outputs, with_side_outputs
from headrace.pipeline.topology.run import DRAIN_SECONDS, Run, RunOutcome
from headrace.pipeline.topology.service import Service, Services
from headrace.pipeline.topology.snapshot import TopologySnapshot, take_snapshot
from headrace.telemetry.events import Telemetry

_ANY_SETTINGS: Final = StageSettings()

G = TypeVar("G", bound=Stage)
S = TypeVar("S")


class Topology:
    """Stages by name, one supervisor over them (`one_for_one`), and one run.

    `cancel` is the effect of a producer's end on its consumers, for subscriptions without a `cancel` of their own. More
    than `max_restarts` crashes within `max_seconds`, of all stages together, end the run.
    """

    drain_seconds: float = DRAIN_SECONDS
    """How long a drain may take at the end of `async with`, or after a KeyboardInterrupt in a callback; set it before
    the start."""

    redact: Redact = str
    """Removes secrets from the texts of errors in dead letters and `errors` outputs; set it before the start."""

    dead_letter_handler: DeadLetterHandler | None = None
    """Stores events that failed for good, where no service does; set it before the start."""

    stall_seconds: float | None = STALL_SECONDS
    """A stage that makes no progress for this long, although events wait there, is logged as stalled; None for never.
    Set it before the start."""

    is_forever: bool = False
    """Whether the run goes on until it is drained or stopped, also after all stages have completed; set it before the
    start."""

    def __init__(
        self,
        name: str = "pipeline",
        *,
        cancel: CancelMode = "permanent",
        max_restarts: int = MAX_RESTARTS,
        max_seconds: float = MAX_SECONDS,
        measure: bool = True,
    ) -> None:
        """Raises `BadOption`."""
        if cancel not in get_args(CancelMode):
            raise BadOption("cancel", cancel, "'permanent', 'transient' or 'temporary'")
        check_count("max_restarts", max_restarts, 0)
        check_seconds("max_seconds", max_seconds)
        self.name = name
        self._cancel: CancelMode = cancel
        self._max_restarts = max_restarts
        self._max_seconds = max_seconds
        self._measure = measure
        self._specs: dict[str, StageSpec] = {}
        self._run: Run | None = None
        self.telemetry = Telemetry()
        """Emits the events of the run; attach handlers at any time."""
        self._services = Services()
        self._has_reported = False

    def add(
        self,
        name: str,
        factory: Callable[[], G],
        *,
        subscribe_to: SubscribeTarget | Sequence[SubscribeTarget] | None = (),
        settings: StageSettings = _ANY_SETTINGS,
    ) -> StageHandle[G]:
        """Add a stage: `factory` (a class will do) makes its callback object, now, and again after a crash.

        It subscribes to stages by their names, handles, or a `SubscribeTo`, which may be added in any order. With None
        it subscribes while it runs (`handle.subscribe`, `self.subscribe`). Raises `GraphError` when the name is taken,
        the factory makes no stage, or a setting is invalid.
        """
        given: object = name
        if not isinstance(given, str) or not name:
            raise GraphError(name, "needs a name that is text: give it one")
        if name in self._specs:
            raise GraphError(name, "is there already: give every stage a name of its own")
        if self._run is not None:
            raise GraphError(name, "is added to a pipeline that was started: add every stage before")
        if not callable(factory):
            raise GraphError(name, f"has {factory!r} for a factory: give a class, or a function that makes the stage")
        if not isinstance(settings, StageSettings):
            raise GraphError(name, f"has {settings!r} for settings: give a StageSettings")
        first = factory()
        if not isinstance(first, Producer | ProducerConsumer | Consumer):
            raise GraphError(
                name, f"is a {type(first).__name__}: its factory must make a Producer, ProducerConsumer or Consumer"
            )
        check_callback(first)
        for problem in settings.problems():
            raise GraphError(name, problem)
        why = settings.concurrency.problem(first, has_timeout=settings.timeout_seconds is not None)
        if why is not None:
            raise GraphError(name, why)
        targets = subscribe_to if isinstance(subscribe_to, Sequence) else [] if subscribe_to is None else [subscribe_to]
        targets = [targets] if isinstance(targets, str) else targets
        subscriptions = tuple(target(name, to) for to in targets)
        self._specs[name] = StageSpec(name, factory, first, subscriptions, settings, is_later=subscribe_to is None)
        return StageHandle(name, self._for_handle)

    def replace(self, name: str, factory: Callable[[], Stage]) -> Change:
        """Put another stage of the same kind in the place of one: a test's source, or a new version of a stage.

        It has the former one's name, subscriptions and settings. While the topology runs, the former stage finishes its
        running callback, and its `terminate` is called before the `init` of the new one. The new stage takes over
        counts, mail, events that wait, and retained messages; plain events that the former one has kept are lost with
        it. Await the result to wait until the new stage runs. Raises `GraphError` for an unknown name, another kind or
        other outputs, and `NoProcess` for a stage that has ended or is about to.
        """
        self.stage(name)
        if name not in self._specs:
            raise GraphError(name, "is an output of another stage, and cannot be replaced alone")
        former, first = self._specs[name], factory()
        if not isinstance(first, Producer | ProducerConsumer | Consumer):
            raise GraphError(name, f"is replaced by a {type(first).__name__}, which is no stage")
        check_callback(first)
        spec = replace(former, factory=factory, first=first)
        check_replacement(former, spec)
        change = (
            Change() if self._run is None else replace_stage(self._for_handle(f"replace of {name!r}"), former, spec)
        )
        self._specs[name] = spec
        return change

    def add_service(self, service: Service) -> None:
        """Add a service, which the run opens before its stages and closes after them.

        Raises `GraphError` when the pipeline was started.
        """
        if self._run is not None:
            raise GraphError(self.name, "was started: add every service before", what="pipeline")
        self._services.add(service)

    def service(self, kind: type[S]) -> S | None:
        """Return the service of a class, if one was added."""
        return self._services.find(kind)

    def is_made_by(self, name: str, kind: type) -> bool:
        """Return whether the callbacks of a stage are of a class."""
        return name in self._specs and isinstance(self._specs[name].first, kind)

    def stage(self, name: str) -> StageHandle[Stage]:
        """Return the handle of a stage. Raises `GraphError` for an unknown name.

        After the start, an output with a subscriber is a stage of its own: `priced.errors`.
        """
        if name not in self._specs and (self._run is None or name not in self._run.processes):
            raise GraphError(name, f"does not exist; {suggestion(name, self._specs)}")
        return StageHandle(name, self._for_handle)

    def _for_handle(self, what: str) -> Run:
        run = self._started()
        run.check_thread(what)
        return run

    @property
    def state(self) -> str:
        """`new`, `running`, `draining`, `completed`, `drained`, `failed` or `stopped`."""
        run = self._run
        if run is None:
            return "new"
        if not run.over.done():
            return "draining" if run.is_draining else "running"
        if self._services.is_working:
            return "draining" if self._services.is_draining else "running"
        outcome = self.outcome()
        if outcome.reason is not None:
            return "failed"
        if outcome.is_drained:
            return "drained"
        return "completed" if outcome.is_completed else "stopped"

    async def start(self) -> None:
        """Check the graph, start every stage, and return when all of them have begun.

        Raises `GraphError` for an invalid graph, the error of a service that does not open, and `StartFailed` when the
        `init` of a stage raises. Nothing runs then.
        """
        if self._run is not None:
            raise GraphError(self.name, "was started before: make a new pipeline for a new run", what="pipeline")
        if not self._specs and not self._services.has_own_work:
            raise GraphError(self.name, "has no stages: add some first", what="pipeline")
        specs = with_named_outputs(with_side_outputs(self._specs))
        ordered(specs)
        await self._services.open()
        try:
            await self._start(specs)
        except BaseException:
            await self._services.stop()
            raise

    async def _start(self, specs: Mapping[str, StageSpec]) -> None:
        scheduler = Scheduler(measure=self._measure, telemetry=self.telemetry)
        supervisor = Supervisor(
            f"{self.name}.supervisor", scheduler, max_restarts=self._max_restarts, max_seconds=self._max_seconds
        )
        dead_letter_handler = self._services.dead_letter_handler or self.dead_letter_handler
        run = self._run = Run(self.name, specs, self._cancel, supervisor, dead_letter_handler)
        run.drain_seconds = self.drain_seconds
        run.stall_seconds = self.stall_seconds
        for process in run.processes.values():
            process.failure = replace(process.failure, redact=self.redact)
        await self._services.attach(run)
        await run.start()

    async def join(self) -> RunOutcome:
        """Wait until every stage has completed, the run has failed, or it was drained or stopped.

        Return its outcome. Raises `WaitForSelf` in a callback of a stage, which would wait for itself.
        """
        run = self._for_handle(f"join of pipeline {self.name!r}")
        check_end_of(run.supervisor, f"the end of pipeline {self.name!r}")
        await asyncio.shield(run.over)
        await run.stop()
        if run.outcome().is_completed:
            await self._services.rest(is_forever=self.is_forever)
        await self._services.close()
        return self._report_outcome()

    async def run(self) -> RunOutcome:
        """Start, wait for the end, and return the outcome. When cancelled, stop the run."""
        await self.start()
        return await self._or_stop(self.join())

    async def _or_stop(self, end: Awaitable[RunOutcome]) -> RunOutcome:
        """Wait for the end; when cancelled, stop at once."""
        try:
            return await end
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def drain(self, deadline_seconds: float | None = None) -> RunOutcome:
        """Take in nothing more, handle all events in progress, and return the outcome.

        Stages that have not ended after `deadline_seconds` (`drain_seconds` when None) are stopped, and their events
        count as lost. When this call is cancelled, the drain continues without a deadline: call `drain`, `join` or
        `stop` then. Raises `WaitForSelf` in a callback of a stage, and begins no drain.
        """
        check_timeout("deadline_seconds", deadline_seconds)
        run = self._for_handle(f"drain of pipeline {self.name!r}")
        check_end_of(run.supervisor, f"the drain of pipeline {self.name!r}")
        self._services.drain()
        await run.drain(self.drain_seconds if deadline_seconds is None else deadline_seconds)
        await self._services.close()
        return self._report_outcome()

    async def stop(self) -> RunOutcome:
        """Stop at once. Events in progress count as lost."""
        run = self._for_handle(f"stop of pipeline {self.name!r}")
        await run.stop()
        await self._services.stop()
        return self._report_outcome()

    def _report_outcome(self) -> RunOutcome:
        outcome = self.outcome()
        self._has_reported = outcome.reason is not None
        return outcome

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drain after the block; stop at once when the block raised, or the drain is cancelled.

        Where the block raised nothing, raise the error that ended the run, unless the block got it from `join`,
        `drain` or `stop`.
        """
        if error is not None:
            await self.stop()
            return
        was_reported = self._has_reported
        outcome = await self._or_stop(self.drain())
        if outcome.reason is not None and not was_reported:
            raise outcome.reason

    def emit_threadsafe(self, stage: str, events: Sequence[object]) -> "concurrent.futures.Future[None]":
        """Emit events from a stage, from any thread, as soon as there is room; see `StageHandle.emit`.

        The future is done when all events are emitted. It holds `NoProcess` when the stage ends, completes or is
        drained before. `future.result(timeout)` gives a thread back-pressure. A future that is cancelled before the
        first event was emitted emits none. Raises `GraphError` for an unknown stage and for a consumer, `NoProcess`
        when the loop is closed, and `BadOption` for one event in place of a list.
        """
        run = self._started()
        ingress = ingress_of(run.process(stage), "emit from the stage that feeds it")
        try:
            return ingress.put_threadsafe(events_given(events))
        except RuntimeError:  # the loop is closed
            raise NoProcess(stage) from None

    def snapshot(self) -> TopologySnapshot:
        """Copy the state of the run in one step. For the thread of the loop only."""
        return take_snapshot(self._for_handle(f"snapshot of pipeline {self.name!r}"), self.state)

    def outcome(self) -> RunOutcome:
        """Return how the run and its services ended, or the counts so far."""
        outcome, services = self._started().outcome(), self._services
        is_drained = outcome.is_drained or (services.was_drained and outcome.is_completed)
        return replace(outcome, is_drained=is_drained, reason=outcome.reason or services.failure)

    def _started(self) -> Run:
        if self._run is None:
            raise NoProcess(self.name)
        return self._run
