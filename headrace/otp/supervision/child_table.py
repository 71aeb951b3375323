"""`ChildTable`: starts the children of a supervisor, decides about their exits, and stops them."""

import asyncio
import enum
from collections import deque
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from typing_extensions import override

from headrace.errors import ChildKept, NameTaken, RestartsExhausted, StartFailed, Unrecoverable, describe
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.ref import Ref
from headrace.otp.scheduler import Scheduler, TurnTimes
from headrace.otp.supervision.child_spec import ChildCount, ChildInfo, ChildSpec, ChildState, counted
from headrace.otp.supervision.restart import Restart, RestartWindow, Strategy, affected, wants_restart
from headrace.telemetry.events import LOG


class ChildStatus(enum.Enum):
    """The status of a child in a group of children."""

    UP = "up"
    """It is started, or its exit waits for a decision."""
    LEAVING = "leaving"
    """It is being stopped with its group, or is about to be."""
    DOWN = "down"
    """It waits for its next start."""
    STARTING = "starting"
    """It starts with its group, and the next child waits until it runs."""
    ENDED = "ended"
    """It has ended for good, and its spec is kept."""


STATES: Final[dict[ProcessStatus, ChildState]] = {
    ProcessStatus.NEW: "starting",
    ProcessStatus.STARTING: "starting",
    ProcessStatus.RUNNING: "running",
    ProcessStatus.STOPPING: "stopping",
    ProcessStatus.CRASHED: "restarting",
    ProcessStatus.ENDED: "ended",
}
"""The state of a child in `ChildInfo`, by the status of its process."""


class ChildEntry:
    """A child of a supervisor. `key` finds it in the table: the name of its process, unless given."""

    __slots__ = ("key", "process", "restart")

    def __init__(self, process: Process[object], restart: Restart = "temporary", key: object = None) -> None:
        self.process = process
        self.restart: Restart = restart
        self.key = process.name if key is None else key

    @property
    def state(self) -> ChildState:
        """The state of the child, as in its `ChildInfo`."""
        return STATES[self.process.state]

    def info(self) -> ChildInfo:
        """Return the `ChildInfo` of this child."""
        process, state = self.process, self.state
        ref = None if state in ("restarting", "ended") else Ref(process)
        return ChildInfo(process.name, ref, process.kind, self.restart, state)


class SupervisedEntry(ChildEntry):
    """A child that starts and stops with others; `spec`, unless it is None, is kept when the child has ended."""

    __slots__ = ("spec", "status")

    def __init__(
        self,
        process: Process[object],
        restart: Restart,
        spec: ChildSpec[object] | None = None,
        status: ChildStatus = ChildStatus.UP,
    ) -> None:
        super().__init__(process, restart)
        self.spec = spec
        self.status = status

    @property
    @override
    def state(self) -> ChildState:
        return "restarting" if self.status is ChildStatus.DOWN else super().state

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended for good."""
        return self.process.state is ProcessStatus.ENDED

    @property
    def restarts_with_group(self) -> bool:
        """Whether the child is started again when others are; a stopped or a temporary child is not."""
        if self.restart == "temporary":
            return False
        return not self.has_ended or (
            self.status in (ChildStatus.ENDED, ChildStatus.DOWN) and not self.process.no_restart
        )

    def stop_for_now(self) -> None:
        """End the process within its shutdown time; the supervisor decides whether it is started again."""
        process = self.process
        process.stop_after_callback("shutdown")
        if process.is_busy and process.is_alive:
            process.cancel_later()


class ChildrenOwner(Protocol):
    """The process that owns a `ChildTable`."""

    name: str
    state: ProcessStatus
    scheduler: Scheduler
    turns: TurnTimes

    @property
    def restarts_children(self) -> bool:
        """Whether a child that exits now may be started again."""


E = TypeVar("E", bound=ChildEntry)


class ChildTable(Generic[E]):
    """The children of one supervisor, in the order of their start; each is restarted alone.

    A child that needs no decision is removed when it exits. The others wait in `exits`: the owner calls `decide` for
    each in a turn of its own, and exits with the error that `decide` returns. `removed` is called once for each child,
    when it has ended for good.
    """

    def __init__(
        self,
        owner: ChildrenOwner,
        window: RestartWindow | None = None,
        removed: Callable[[E, ExitReason], None] | None = None,
    ) -> None:
        self.entries: dict[object, E] = {}
        self.exits: deque[tuple[E, ExitReason]] = deque()
        self.window = RestartWindow() if window is None else window
        self._owner = owner
        self._removed = removed
        self._empty: asyncio.Future[None] | None = None

    def start(self, entry: E) -> None:
        """Add a child and start it. Raises `NameTaken` when a child of that name is alive."""
        process = entry.process
        if entry.key in self.entries:
            raise NameTaken(process.name)
        self.entries[entry.key] = entry
        process.observer = partial(self.exited, entry)
        process.start()

    def exited(self, entry: E, reason: ExitReason) -> None:
        """Called when the process of a child has exited."""
        if isinstance(reason, BaseException) and self._owner.restarts_children and self._needs_decision(entry, reason):
            self._await_decision(entry, reason)
        else:
            self.remove(entry, reason)

    def _needs_decision(self, entry: E, reason: BaseException) -> bool:
        return isinstance(reason, Unrecoverable) or self._is_to_restart(entry, reason)

    def _await_decision(self, entry: E, reason: ExitReason) -> None:
        self.exits.append((entry, reason))
        self._owner.scheduler.wake(self._owner.turns)

    def decide(self) -> BaseException | None:
        """Restart or remove the child that exited first; return the error with which the owner must exit, if any."""
        entry, reason = self.exits.popleft()
        if not self._is_to_restart(entry, reason):
            has_run = entry.process.has_run
            self.remove(entry, reason)
            return self._exit_error(entry, reason, has_run=has_run)
        if self._waits_for_group(entry):
            return None
        if not self.window.allows(self._owner.scheduler.clock()):
            self.remove(entry, reason)
            return RestartsExhausted(entry.process.name, self.window.max_restarts, self.window.max_seconds, reason)
        self._restart(entry, reason)
        return None

    def _is_to_restart(self, entry: E, reason: ExitReason) -> bool:
        process = entry.process
        if not process.has_run or process.no_restart or isinstance(reason, Unrecoverable):
            return False
        return wants_restart(entry.restart, is_normal=not isinstance(reason, BaseException))

    def _exit_error(self, entry: E, reason: ExitReason, *, has_run: bool) -> BaseException | None:
        return reason if isinstance(reason, Unrecoverable) else None

    def _waits_for_group(self, entry: E) -> bool:
        return False

    def _restart(self, entry: E, reason: ExitReason) -> None:
        LOG.warning("restarting %r: %s", entry.process.name, describe(reason))
        entry.process.restart()

    def remove(self, entry: E, reason: ExitReason) -> None:
        """Remove a child that has ended for good."""
        entry.process.finalize(reason)
        if self.entries.get(entry.key) is entry:
            del self.entries[entry.key]
            if self._removed is not None:
                self._removed(entry, reason)
            if not self.entries and self._empty is not None and not self._empty.done():
                self._empty.set_result(None)

    def stop(self, entry: E) -> None:
        """End a child within its shutdown time; a child that waits for its restart ends at once."""
        if entry.process.state is ProcessStatus.CRASHED:
            self.exits = deque(pair for pair in self.exits if pair[0] is not entry)
            self.remove(entry, "shutdown")
        else:
            entry.process.stop()

    def kill(self) -> None:
        """Cancel the running callbacks of all children without waiting for them to end."""
        for entry in list(self.entries.values()):
            if entry.process.state is not ProcessStatus.CRASHED:
                entry.process.kill()

    async def stop_all(self) -> None:
        """Stop all children at the same time, each within its shutdown time, and wait until they have ended.

        On cancellation the children are killed, and waited for all the same.
        """
        for entry in list(self.entries.values()):
            self.stop(entry)
        cancelled: asyncio.CancelledError | None = None
        while self.entries:
            self._empty = self._owner.scheduler.loop.create_future()
            try:
                await self._empty
            except asyncio.CancelledError as error:
                cancelled = error
                self.kill()
        self._empty = None
        if cancelled is not None:
            raise cancelled

    def children(self) -> list[ChildInfo]:
        """Return the infos of the children, in the order of their start."""
        return [entry.info() for entry in self.entries.values()]

    def counts(self) -> ChildCount:
        """Return the number of children."""
        return counted(self.children())


class GroupTable(ChildTable[SupervisedEntry]):
    """The children of a `Supervisor`: they start and stop in order, and restart by its strategy.

    Each exit waits for a decision, so that a group stops and starts one child after the other.
    """

    def __init__(self, owner: ChildrenOwner, window: RestartWindow, strategy: Strategy) -> None:
        super().__init__(owner, window)
        self.strategy: Strategy = strategy
        self._to_stop: list[SupervisedEntry] = []
        self._to_start: deque[SupervisedEntry] = deque()
        self._awaited: SupervisedEntry | None = None

    @override
    def start(self, entry: SupervisedEntry) -> None:
        other = self.entries.get(entry.key)
        if other is not None and other.status is ChildStatus.ENDED:
            raise ChildKept(self._owner.name, entry.process.name)
        if other is not None and other.has_ended:
            del self.entries[entry.key]
        super().start(entry)

    def start_all(self, specs: Iterable[ChildSpec[object]]) -> None:
        """Forget all children, and start the children of `specs` in order, with `step`."""
        self.entries.clear()
        self.clear_group()
        for spec in specs:
            entry = SupervisedEntry(spec.make(self._owner.scheduler), spec.restart, spec, ChildStatus.DOWN)
            entry.process.observer = partial(self.exited, entry)
            self.entries[entry.key] = entry
        self._to_start = deque(self.entries.values())

    def make_anew(self, entry: SupervisedEntry, spec: ChildSpec[object]) -> Process[object]:
        """Give an ended child a new process, which is not started yet."""
        process = spec.make(self._owner.scheduler)
        process.observer = partial(self.exited, entry)
        entry.process = process
        return process

    @property
    def has_group(self) -> bool:
        """Whether a group of children is being stopped and started."""
        return bool(self._to_stop or self._to_start or self._awaited is not None)

    def clear_group(self) -> None:
        """Stop and start no more children of the group."""
        self._to_stop.clear()
        self._to_start.clear()
        self._awaited = None

    def step(self) -> bool:
        """Stop or start the next child of the group; return False while the one before is awaited, and at the end."""
        awaited = self._awaited
        if awaited is not None and awaited.status is ChildStatus.STARTING and awaited.process.started.done():
            awaited.status = ChildStatus.UP
            self._awaited = None
        if self._awaited is not None:
            return False
        if self._to_stop:
            entry = self._to_stop.pop()
            if entry.status is ChildStatus.LEAVING:
                self._awaited = entry
                entry.stop_for_now()
            return True
        if self._to_start:
            entry = self._to_start.popleft()
            if entry.status is ChildStatus.DOWN:
                self._start_down(entry)
            if entry.status is ChildStatus.STARTING:
                self._awaited = entry
            return True
        return False

    def _start_down(self, entry: SupervisedEntry) -> None:
        """Start a child with its group, unless it was stopped meanwhile."""
        if entry.process.no_restart:
            self.remove(entry, "shutdown")
            return
        if entry.has_ended and entry.spec is not None:
            self.make_anew(entry, entry.spec)
        entry.status = ChildStatus.STARTING
        process, owner = entry.process, self._owner
        if process.started.done():
            process.started = owner.scheduler.loop.create_future()
        process.started.add_done_callback(lambda _: owner.scheduler.wake(owner.turns))
        if process.state is ProcessStatus.NEW:
            process.start()
        else:
            process.restart()

    @override
    def exited(self, entry: SupervisedEntry, reason: ExitReason) -> None:
        if self._owner.state is ProcessStatus.ENDED:
            self.remove(entry, reason)
        else:
            self._await_decision(entry, reason)

    @override
    def decide(self) -> BaseException | None:
        if self._awaited is self.exits[0][0]:
            self._awaited = None
        return super().decide()

    @override
    def _is_to_restart(self, entry: SupervisedEntry, reason: ExitReason) -> bool:
        owner, process = self._owner, entry.process
        if not owner.restarts_children or entry.has_ended or process.no_restart or isinstance(reason, Unrecoverable):
            return False
        if not process.has_run and (entry.status is not ChildStatus.STARTING or owner.state is ProcessStatus.STARTING):
            return False
        is_normal = not isinstance(reason, BaseException)
        return wants_restart(entry.restart, is_normal=is_normal and entry.status is not ChildStatus.LEAVING)

    @override
    def _exit_error(self, entry: SupervisedEntry, reason: ExitReason, *, has_run: bool) -> BaseException | None:
        if not self._owner.restarts_children:
            return None
        if has_run:
            return super()._exit_error(entry, reason, has_run=has_run)
        is_first = entry.spec is not None and self._owner.state is ProcessStatus.STARTING
        return StartFailed(entry.process.name, reason) if is_first else None

    @override
    def _waits_for_group(self, entry: SupervisedEntry) -> bool:
        if entry.status is not ChildStatus.LEAVING:
            return False
        entry.status = ChildStatus.DOWN
        return True

    @override
    def _restart(self, entry: SupervisedEntry, reason: ExitReason) -> None:
        if self.strategy == "one_for_one":
            entry.status = ChildStatus.UP
            LOG.warning("restarting %r", entry.process.name)
            entry.process.restart()
        else:
            self.restart_group(entry)

    def restart_group(self, failed: SupervisedEntry) -> None:
        """Restart the children that the strategy restarts with `failed`."""
        name = failed.process.name
        names = affected(self.strategy, [each.process.name for each in self.entries.values()], name)
        others = ", ".join(each for each in names if each != name) or "nobody"
        LOG.warning("restarting %r, and with it %s", name, others)
        failed.status = ChildStatus.DOWN
        self._gather(set(names))

    def _gather(self, names: Collection[str]) -> None:
        """Put the named children in the group, beside the children that it still stops or starts."""
        under_way = (ChildStatus.LEAVING, ChildStatus.DOWN, ChildStatus.STARTING)
        members = [one for one in self.entries.values() if one.process.name in names or one.status in under_way]
        if self._awaited is not None and self._awaited.status is ChildStatus.STARTING:
            self._awaited = None
        self._to_start = deque(entry for entry in members if entry.restarts_with_group)
        for entry in members:
            if entry.status in (ChildStatus.UP, ChildStatus.STARTING) and not entry.has_ended:
                entry.status = ChildStatus.LEAVING
        for entry in self._to_start:
            if entry.status is ChildStatus.ENDED:
                entry.status = ChildStatus.DOWN
        self._to_stop = [one for one in members if one.status is ChildStatus.LEAVING and one is not self._awaited]

    @override
    def remove(self, entry: SupervisedEntry, reason: ExitReason) -> None:
        """Finalize a child; its spec is kept when it was started first, and is not temporary."""
        entry.status = ChildStatus.ENDED
        if entry.spec is None or entry.restart == "temporary":
            super().remove(entry, reason)
        else:
            entry.process.finalize(reason)

    @override
    def stop(self, entry: SupervisedEntry) -> None:
        entry.process.stop()
        if entry.status is ChildStatus.DOWN:
            self.remove(entry, "shutdown")

    @override
    async def stop_all(self) -> None:
        """Stop all children one after the other, last started first, and wait until they have ended."""
        for entry in reversed(list(self.entries.values())):
            if entry.status is ChildStatus.DOWN:
                self.remove(entry, entry.process.reason or "shutdown")
            elif not entry.has_ended:
                entry.process.stop()
                await asyncio.shield(entry.process.terminated)
