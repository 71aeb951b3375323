"""Starts children, restarts them after a crash, and exits when that happens too often: OTP's supervisor."""

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import ClassVar, Final, Self, TypeVar, Unpack, cast, overload

from typing_extensions import override

from headrace.errors import (
    ChildIsAlive,
    NoChild,
    NoProcess,
    Unrecoverable,
)
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.process.state import Kind, ProcessSettings
from headrace.otp.ref import Ref, S, check_end_of
from headrace.otp.scheduler import IDLE, MORE, Scheduler
from headrace.otp.supervision.child_spec import (
    Child,
    ChildCount,
    ChildInfo,
    ChildSpec,
    SupervisorOptions,
    check_options,
)
from headrace.otp.supervision.child_table import ChildStatus, GroupTable, SupervisedEntry
from headrace.otp.supervision.restart import MAX_RESTARTS, MAX_SECONDS, Restart, RestartWindow

T = TypeVar("T")

_ANY_SETTINGS: Final = ProcessSettings()
_OWN_SETTINGS: Final = ProcessSettings(shutdown_seconds=None)
"""A supervisor has all the time that its children need to stop; each of them has a bound of its own (OTP's rule)."""

_ALIVE: Final = (ProcessStatus.STARTING, ProcessStatus.RUNNING)


class SupervisorProcess(Process[object]):
    """The base of supervisors: `async with` starts one, and stops it with its children."""

    __slots__ = ()

    kind: ClassVar[Kind] = "supervisor"

    def __init__(self, name: str, scheduler: Scheduler | None) -> None:
        super().__init__(name, object, Scheduler() if scheduler is None else scheduler, _OWN_SETTINGS)

    async def __aenter__(self) -> Self:
        """Start; return once the children that are given run.

        Raises `StartFailed` when a child does not start, once the children before it have ended. On cancellation the
        supervisor is stopped, and waited for.
        """
        self.start()
        try:
            await asyncio.shield(self.started)
        except asyncio.CancelledError:
            self.stop()
            await asyncio.shield(self.terminated)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the children, and wait until all have ended; raise the error with which the supervisor exited.

        An error of the block is raised instead. On cancellation the children are waited for all the same; a second
        cancellation leaves them to end alone. Raises `WaitForSelf` in a callback of a child.
        """
        check_end_of(self, f"the end of {self.name!r}")
        self.stop()
        try:
            reason = await asyncio.shield(self.terminated)
        except asyncio.CancelledError:
            await asyncio.shield(self.terminated)
            raise
        if error is None and isinstance(reason, BaseException):
            raise reason


class Supervisor(SupervisorProcess):
    """Children that are restarted as their specs and the strategy say, and stopped last started first.

    The restarts of all children count together: a child that fails counts once, however many are restarted with it. One
    crash more than allowed, and the supervisor stops its children and ends with `RestartsExhausted`, which is a crash
    to a supervisor above it. A child that was stopped, and one whose `init` has never succeeded, is not
    restarted. Ended children are forgotten; of the `children` given at the start, all but temporary ones keep their
    specs, so that `restart_child` works, and come back when the supervisor is itself restarted.
    """

    __slots__ = ("_is_opening", "_specs", "table")

    def __init__(self, name: str, scheduler: Scheduler | None = None, **options: Unpack[SupervisorOptions]) -> None:
        """Live on `scheduler`, or on a new one of the running loop. Raises `BadOption`."""
        check_options(options)
        super().__init__(name, scheduler)
        window = RestartWindow(options.get("max_restarts", MAX_RESTARTS), options.get("max_seconds", MAX_SECONDS))
        self.table = GroupTable(self, window, options.get("strategy", "one_for_one"))
        self._specs = tuple(options.get("children", ()))
        self._is_opening = False

    def supervise(self, child: Child, restart: Restart = "permanent") -> None:
        """Watch over a process, and start it.

        Raises `NameTaken` when a child of that name lives, and `NoProcess` when the supervisor itself does not run.
        """
        self._take(SupervisedEntry(child, restart))

    @overload
    async def start_child(self, child: ChildSpec[S]) -> Ref[S]: ...
    @overload
    async def start_child(
        self,
        child: Callable[[], S],
        *,
        name: str | None = None,
        restart: Restart = "permanent",
        settings: ProcessSettings = _ANY_SETTINGS,
    ) -> Ref[S]: ...

    async def start_child(
        self,
        child: Callable[[], S] | ChildSpec[S],
        *,
        name: str | None = None,
        restart: Restart = "permanent",
        settings: ProcessSettings = _ANY_SETTINGS,
    ) -> Ref[S]:
        """Start a child under this supervisor; return its reference once its `init` is done.

        A GenServer's name is the factory's own unless given. Raises `StartFailed` when `init` raises, once the child
        has ended; it is then not kept. On cancellation the child is stopped, and waited for.
        """
        spec = child if isinstance(child, ChildSpec) else ChildSpec(child, name, restart, settings)
        process = spec.make(self.scheduler)
        self._take(SupervisedEntry(process, spec.restart))
        await self._until_started(process)
        return Ref(process)

    async def start_supervisor(
        self, name: str, restart: Restart = "permanent", **options: Unpack[SupervisorOptions]
    ) -> "Supervisor":
        """Start a supervisor under this one, and return it once its children run. Otherwise as `start_child`.

        It stays good when it is restarted: the children given here come back then, and any other is gone.
        """
        supervisor = Supervisor(name, self.scheduler, **options)
        self._take(SupervisedEntry(supervisor, restart))
        await self._until_started(supervisor)
        return supervisor

    async def terminate_child(self, name: str) -> None:
        """Stop a child within its shutdown time, and return when it has ended; nothing happens if it had.

        Raises `NoChild`, and `WaitForSelf` in its own callback. A cancelled caller does not wait; it ends all the same.
        """
        child = self._child(name)
        check_end_of(cast("Process[object]", child.process), f"the end of {name!r}")
        self.table.stop(child)
        await asyncio.shield(child.process.terminated)

    async def restart_child(self, name: str) -> Ref[object]:
        """Start a child again whose spec was kept when it ended; return its new reference.

        Raises `NoChild`, `ChildIsAlive`, and else what `start_child` raises.
        """
        child = self._child(name)
        if child.spec is None or child.status is not ChildStatus.ENDED:
            raise ChildIsAlive(self.name, name)
        self._check(name)
        process = self.table.make_anew(child, child.spec)
        child.status = ChildStatus.UP
        process.start()
        await self._until_started(process)
        return Ref(process)

    def delete_child(self, name: str) -> None:
        """Forget the spec of a child that has ended. Raises `NoChild` and `ChildIsAlive`."""
        child = self._child(name)
        if not child.has_ended or child.status is ChildStatus.DOWN:
            raise ChildIsAlive(self.name, name)
        del self.table.entries[name]

    def which_children(self) -> list[ChildInfo]:
        """Return what there is to tell of each child, in the order of their start."""
        return self.table.children()

    def count_children(self) -> ChildCount:
        """Return how many children there are."""
        return self.table.counts()

    @overload
    def whereis(self, name: str) -> Ref[object]: ...
    @overload
    def whereis(self, name: str, server: type[S]) -> Ref[S]: ...

    def whereis(self, name: str, server: type[object] = object) -> Ref[object]:
        """Return the reference of a child, whose `server` class is named for the type checker alone.

        Raises `NoChild`, and `NoProcess` when it has ended for good.
        """
        child = self._child(name)
        if child.has_ended:
            raise NoProcess(name)
        return Ref(cast("Process[object]", child.process))

    def supervisor(self, name: str, kind: type[T]) -> T:
        """Return the supervisor that is the child of that name: a `Supervisor` or a `TaskSupervisor`, as `kind` says.

        It is for now: ask again after a restart of this supervisor. Raises `NoChild` for another kind of child, too,
        and `NoProcess` when it has ended for good.
        """
        child = self._child(name)
        if not isinstance(child.process, kind):
            kinds = (str(key) for key, one in self.table.entries.items() if isinstance(one.process, kind))
            raise NoChild(self.name, name, kinds)
        if child.has_ended:
            raise NoProcess(name)
        return child.process

    def _child(self, name: str) -> SupervisedEntry:
        self.scheduler.check_thread(f"question about child {name!r}")
        child = self.table.entries.get(name)
        if child is None:
            raise NoChild(self.name, name, map(str, self.table.entries))
        return child

    def _check(self, name: str) -> None:
        self.scheduler.check_thread(f"start of {name!r}")
        if self.state not in _ALIVE or self._stop_reason is not None:
            raise NoProcess(self.name)

    def _take(self, child: SupervisedEntry) -> None:
        self._check(child.process.name)
        self.table.start(child)

    async def _until_started(self, process: Child) -> None:
        try:
            await asyncio.shield(process.started)
        except asyncio.CancelledError:
            process.kill()
            await asyncio.shield(process.terminated)
            raise

    @property
    def restarts_children(self) -> bool:
        """Whether a child that exits now may be started again."""
        return self.state in _ALIVE and self._stop_reason is None

    @override
    def turn(self) -> int:
        if self.table.exits:
            error = self.table.decide()
            if error is not None:
                self.exit(error)
            return MORE
        if (self._is_opening or self.table.has_group) and self.restarts_children:
            return self._go_on()
        if self.has_control:
            return self.handle_control()
        return IDLE

    def _go_on(self) -> int:
        """Stop or start the next child of a group; run when the first children have started."""
        if self.table.step():
            return MORE
        if self.table.has_group:
            return IDLE
        if self._is_opening:
            self._is_opening = False
            self._initialised(None)
        return MORE

    @override
    def _initialise(self) -> None:
        self.table.start_all(self._specs)
        self._is_opening = True
        self.scheduler.wake(self.turns)

    @override
    def _report(self, reason: BaseException) -> None:
        if not isinstance(reason, Unrecoverable):
            super()._report(reason)

    @override
    def finalize_pending(self, reason: ExitReason) -> None:
        while self.table.exits:
            self.table.remove(*self.table.exits.popleft())

    @override
    def child_entries(self) -> Iterable[Process[object]]:
        return [cast("Process[object]", child.process) for child in self.table.entries.values() if not child.has_ended]

    @override
    def _ended(self) -> None:
        for child in reversed(list(self.table.entries.values())):
            if not child.has_ended:
                child.process.stop()
        super()._ended()

    @override
    def release(self) -> object:
        self.table.clear_group()
        self._is_opening = False
        return self.table.stop_all() if self.table.entries else None
