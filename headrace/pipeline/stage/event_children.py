"""The children of a consumer supervisor, one for each event."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, Protocol, TypeVar, cast

from typing_extensions import override

from headrace.errors import NameTaken, NoChild, PermanentChild, RestartsExhausted, Unrecoverable, describe
from headrace.otp.process.mailbox import Reply
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.process.state import ProcessSettings
from headrace.otp.process.task_process import TaskProcess
from headrace.otp.ref import Ref
from headrace.otp.scheduler import Scheduler, TurnTimes
from headrace.otp.supervision.child_spec import Child, ChildCount, ChildInfo, ChildSpec, ChildState, Kind
from headrace.otp.supervision.restart import Restart, RestartWindow, wants_restart
from headrace.pipeline.flow.subscription import Subscription
from headrace.telemetry.events import LOG


class EventProcess(TaskProcess):
    """Runs one event to its end, which is its own end, too; `has_failed` once the run says so by itself."""

    __slots__ = ("has_failed",)

    def __init__(self, name: str, run: Callable[[], object], scheduler: Scheduler, settings: ProcessSettings) -> None:
        super().__init__(name, run, scheduler, settings)
        self.has_failed = False

    @override
    def _report(self, reason: BaseException) -> None:
        LOG.debug("child %r crashed", self.name, exc_info=reason)
        found = {"process": self.name, "reason": reason}
        self.scheduler.telemetry.execute(("headrace", "process", "crash"), {"restarts": self.restarts}, found)


class KillableChild(Child, Protocol):
    """A child that need not be waited for."""

    @override
    def kill(self) -> None:
        """Stop without waiting for the running callback."""


class ChildrenOwner(Protocol):
    """Whose children they are."""

    name: str
    state: ProcessStatus
    scheduler: Scheduler
    turns: TurnTimes


class ChildSlot:
    """A child and the event of a subscription for which it was started, or None where no demand counts it."""

    __slots__ = ("event", "ingested_at", "kind", "process", "restart", "since", "subscription")

    def __init__(self, since: float, subscription: Subscription | None = None, event: object = None) -> None:
        """The rest is set when the child is made."""
        self.since = since
        self.subscription = subscription
        self.event = event
        self.ingested_at = since
        self.kind: Kind = "worker"
        self.restart: Restart = "temporary"
        self.process: KillableChild


class Children:
    """One_for_one over children that come and go. A child that is being restarted still holds its slot (GenStage).

    `child_finished` is called once for every child, when no restart follows. Restarts are decided in the owner's own
    turns, by `decide`, and so is the end when there are too many.
    """

    def __init__(
        self,
        owner: ChildrenOwner,
        window: RestartWindow,
        child_finished: Callable[[ChildSlot, ExitReason], None],
    ) -> None:
        self._owner = owner
        self._window = window
        self._child_finished = child_finished
        self.slots: dict[str, ChildSlot] = {}
        self._crashed: deque[tuple[ChildSlot, BaseException]] = deque()
        self._gave_up: BaseException | None = None
        self._empty: asyncio.Future[None] | None = None
        self._named = 0

    def __len__(self) -> int:
        return len(self.slots)

    def new_name(self) -> str:
        """Return a name that no living child has."""
        self._named += 1
        name = f"{self._owner.name}.{self._named}"
        return name if name not in self.slots else self.new_name()

    def start(self, slot: ChildSlot) -> None:
        """Start a child. Raises `NameTaken` when one of that name lives, `PermanentChild` for one that never ends."""
        process = slot.process
        if slot.restart == "permanent":
            raise PermanentChild(self._owner.name)
        if process.name in self.slots:
            raise NameTaken(process.name)
        self.slots[process.name] = slot
        process.observer = partial(self._ended, slot)
        process.start()

    def _ended(self, slot: ChildSlot, reason: ExitReason) -> None:
        owner = self._owner
        if self.slots.get(slot.process.name) is not slot:
            slot.process.finalize(reason)
            return
        if isinstance(reason, BaseException) and owner.state is ProcessStatus.RUNNING:
            process = slot.process
            if isinstance(reason, Unrecoverable):
                self._gave_up = self._gave_up or reason
            elif process.has_run and not process.no_restart and wants_restart(slot.restart, is_normal=False):
                self._crashed.append((slot, reason))
                owner.scheduler.wake(owner.turns)
                return
            owner.scheduler.wake(owner.turns)
        self._remove(slot, reason)

    def _remove(self, slot: ChildSlot, reason: ExitReason) -> None:
        slot.process.finalize(reason)
        del self.slots[slot.process.name]
        self._child_finished(slot, reason)
        if not self.slots and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    @property
    def is_to_decide(self) -> bool:
        """Whether a child waits for its restart, or for the crash of its owner."""
        return bool(self._crashed) or self._gave_up is not None

    def decide(self) -> None:
        """Restart the children that have crashed; raise `RestartsExhausted` when it happens too often."""
        while self._crashed:
            slot, reason = self._crashed.popleft()
            if self._window.allows(self._owner.scheduler.clock()):
                LOG.warning("restarting %r: %s", slot.process.name, describe(reason))
                slot.process.restart()
                continue
            self._remove(slot, reason)
            window = self._window
            raise RestartsExhausted(slot.process.name, window.max_restarts, window.max_seconds, reason)
        error, self._gave_up = self._gave_up, None
        if error is not None:
            raise error

    def stop(self, slot: ChildSlot) -> None:
        """Have a child end within its shutdown time; one that waits for its restart ends at once."""
        if slot.process.state is ProcessStatus.CRASHED:
            self._crashed = deque(pair for pair in self._crashed if pair[0] is not slot)
            self._remove(slot, "shutdown")
        else:
            slot.process.stop()

    def kill(self) -> None:
        """Cancel what runs, and wait for none of it."""
        for slot in list(self.slots.values()):
            if slot.process.state is not ProcessStatus.CRASHED:
                slot.process.kill()

    def kill_and_finalize(self) -> None:
        """Kill the running children, and account for them at once: no task waits for their end any more."""
        for slot in list(self.slots.values()):
            if slot.process.state is not ProcessStatus.CRASHED:
                slot.process.kill()
            if self.slots.get(slot.process.name) is slot:
                del self.slots[slot.process.name]
                self._child_finished(slot, "shutdown")
        self._crashed.clear()

    async def stop_all(self) -> None:
        """Have all children end, each within its shutdown time; they end side by side.

        Cancelled, it kills them, and waits for them all the same: their events are still to be accounted for.
        """
        for slot in list(self.slots.values()):
            self.stop(slot)
        cancelled: asyncio.CancelledError | None = None
        while self.slots:
            self._empty = self._owner.scheduler.loop.create_future()
            try:
                await self._empty
            except asyncio.CancelledError as error:
                cancelled = error
                self.kill()
        self._empty = None
        if cancelled is not None:
            raise cancelled


S = TypeVar("S")

_STATES: Final[dict[ProcessStatus, ChildState]] = {
    ProcessStatus.NEW: "starting",
    ProcessStatus.STARTING: "starting",
    ProcessStatus.RUNNING: "running",
    ProcessStatus.STOPPING: "stopping",
    ProcessStatus.CRASHED: "restarting",
    ProcessStatus.ENDED: "ended",
}


class Supervision:
    """The methods of `ConsumerSupervisor` on its children. None of them waits: replies come when it is done."""

    def __init__(self, owner: ChildrenOwner, children: Children) -> None:
        self._owner = owner
        self._children = children

    def begin(self, spec: ChildSpec[object], slot: ChildSlot) -> None:
        """Start a child as a spec says; `slot` says for what. Raises `NameTaken` and `PermanentChild`."""
        children = self._children
        named = spec if spec.name is not None else replace(spec, name=children.new_name())
        slot.process, slot.restart, slot.kind = named.make(self._owner.scheduler), spec.restart, spec.kind
        children.start(slot)

    def start(self, spec: ChildSpec[S]) -> "Reply[Ref[S]]":
        """Start a child that no demand counts."""
        reply: Reply[Ref[S]] = Reply()
        slot = ChildSlot(self._owner.scheduler.time())
        try:
            self.begin(cast("ChildSpec[object]", spec), slot)
        except (NameTaken, PermanentChild) as error:
            reply.fail(error)
            return reply
        process = cast("Process[S]", slot.process)

        def answer(started: "asyncio.Future[None]") -> None:
            error = started.exception()
            if error is None:
                reply.set(Ref(process))
            else:
                reply.fail(error)

        process.started.add_done_callback(answer)
        return reply

    def terminate(self, name: str) -> Reply[None]:
        """Have a child end within its shutdown time."""
        reply: Reply[None] = Reply()
        slot = self._children.slots.get(name)
        if slot is None:
            reply.fail(NoChild(self._owner.name, name, self._children.slots))
            return reply
        slot.process.terminated.add_done_callback(lambda _: reply.set(None))
        self._children.stop(slot)
        return reply

    def which(self) -> tuple[ChildInfo, ...]:
        """Return the children, oldest first."""
        return tuple(_info(slot) for slot in self._children.slots.values())

    def count(self) -> ChildCount:
        """Return how many children there are."""
        slots = self._children.slots.values()
        active = sum(slot.process.state in (ProcessStatus.STARTING, ProcessStatus.RUNNING) for slot in slots)
        supervisors = sum(slot.kind == "supervisor" for slot in slots)
        return ChildCount(len(slots), active, supervisors, len(slots) - supervisors)


def _info(slot: ChildSlot) -> ChildInfo:
    state = _STATES[slot.process.state]
    ref = None if state == "restarting" else Ref(cast("Process[object]", slot.process))
    return ChildInfo(slot.process.name, ref, slot.kind, slot.restart, state)
