"""The children of a consumer supervisor, one for each event."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, cast

from typing_extensions import override

from headrace.errors import NameTaken, NoChild, PermanentChild
from headrace.otp.process.mailbox import Reply
from headrace.otp.process.process import ExitReason, Process
from headrace.otp.process.state import ProcessSettings
from headrace.otp.process.task_process import TaskProcess
from headrace.otp.ref import Ref
from headrace.otp.scheduler import Scheduler
from headrace.otp.supervision.child_spec import ChildSpec
from headrace.otp.supervision.child_table import ChildEntry, ChildrenOwner, ChildTable
from headrace.otp.supervision.restart import Restart, RestartWindow
from headrace.pipeline.flow.subscription import Subscription
from headrace.telemetry.events import LOG


class EventProcess(TaskProcess):
    """Runs the handler of one event, and ends after it. `has_failed` is set when the handler calls `fail`."""

    __slots__ = ("has_failed",)

    def __init__(self, name: str, run: Callable[[], object], scheduler: Scheduler, settings: ProcessSettings) -> None:
        super().__init__(name, run, scheduler, settings)
        self.has_failed = False

    @override
    def _report(self, reason: BaseException) -> None:
        LOG.debug("child %r crashed", self.name, exc_info=reason)
        self._emit_crash(reason)


class EventEntry(ChildEntry):
    """A child, and the event and subscription for which it was started; None for a child of `start_child`."""

    __slots__ = ("event", "ingested_at", "since", "subscription")

    def __init__(
        self,
        process: Process[object],
        restart: Restart,
        since: float,
        subscription: Subscription | None = None,
        event: object = None,
    ) -> None:
        self.process = process
        self.restart = restart
        self.key = process.name
        self.since = since
        self.subscription = subscription
        self.event = event
        self.ingested_at = since


S = TypeVar("S")


class EventChildren(ChildTable[EventEntry]):
    """The children of a `ConsumerSupervisor`. A child that waits for its restart still counts as alive (GenStage).

    No method waits: a reply is resolved later.
    """

    def __init__(
        self, owner: ChildrenOwner, window: RestartWindow, removed: Callable[[EventEntry, ExitReason], None]
    ) -> None:
        super().__init__(owner, window, removed)
        self._named = 0

    def new_name(self) -> str:
        """Return a name that no living child has."""
        self._named += 1
        name = f"{self._owner.name}.{self._named}"
        return name if name not in self.entries else self.new_name()

    def make(
        self,
        spec: ChildSpec[object],
        subscription: Subscription | None = None,
        event: object = None,
    ) -> EventEntry:
        """Make a child by its spec; it is not started yet. Raises `PermanentChild` for a child that never ends."""
        if spec.restart == "permanent":
            raise PermanentChild(self._owner.name)
        named = spec if spec.name is not None else replace(spec, name=self.new_name())
        scheduler = self._owner.scheduler
        return EventEntry(named.make(scheduler), spec.restart, scheduler.time(), subscription, event)

    def start_child(self, spec: ChildSpec[S]) -> "Reply[Ref[S]]":
        """Start a child that no demand counts."""
        reply: Reply[Ref[S]] = Reply()
        try:
            entry = self.make(cast("ChildSpec[object]", spec))
            self.start(entry)
        except (NameTaken, PermanentChild) as error:
            reply.fail(error)
            return reply
        process = cast("Process[S]", entry.process)

        def answer(started: "asyncio.Future[None]") -> None:
            error = started.exception()
            if error is None:
                reply.set(Ref(process))
            else:
                reply.fail(error)

        process.started.add_done_callback(answer)
        return reply

    def terminate_child(self, name: str) -> Reply[None]:
        """Stop a child; the reply comes when it has ended."""
        reply: Reply[None] = Reply()
        entry = self.entries.get(name)
        if entry is None:
            reply.fail(NoChild(self._owner.name, name, map(str, self.entries)))
            return reply
        entry.process.terminated.add_done_callback(lambda _: reply.set(None))
        self.stop(entry)
        return reply

    def kill_and_finalize(self) -> None:
        """Kill the running children, and remove all children at once: no task waits for their end any more."""
        self.kill()
        for entry in list(self.entries.values()):
            if self.entries.pop(entry.key, None) is not None and self._removed is not None:
                self._removed(entry, "shutdown")
        self.exits.clear()
