"""`Supervisor`: starts children, restarts them after a crash, and exits after too many crashes (OTP's supervisor)."""

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
from headrace.otp.process.process import ExitReason, Process
from headrace.otp.process.state import Kind, ProcessSettings
from headrace.otp.ref import Ref, S, check_end_of
from headrace.otp.scheduler import IDLE, MORE, Scheduler
from headrace.otp.supervision.child_spec import (
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
"""A supervisor has all the time that its children need to stop; each child has its own limit (OTP's rule)."""


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
        await _until_started(self, self.stop)
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
    """Children that are restarted by their specs and the strategy, and stopped in reverse order of their start.

    The restarts of all children count together: a child that fails counts once, however many restart with it. At one
    crash too many the supervisor stops its children and exits with `RestartsExhausted`, which is a crash to a
    supervisor above it. A child that was stopped is not restarted, nor one whose `init` has never succeeded. An ended
    child is forgotten. Only the specs of `children`, temporary ones apart, are kept: `restart_child` can use them, and
    they start again when the supervisor itself restarts.
    """

    __slots__ = ("_is_opening", "_specs", "table")

    def __init__(self, name: str, scheduler: Scheduler | None = None, **options: Unpack[SupervisorOptions]) -> None:
        """Run on `scheduler`, or on a new one of the running loop. Raises `BadOption`."""
        check_options(options)
        super().__init__(name, scheduler)
        window = RestartWindow(options.get("max_restarts", MAX_RESTARTS), options.get("max_seconds", MAX_SECONDS))
        self.table = GroupTable(self, window, options.get("strategy", "one_for_one"))
        self._specs = tuple(options.get("children", ()))
        self._is_opening = False

    def supervise(self, child: Process[object], restart: Restart = "permanent") -> None:
        """Add a process as a child, and start it.

        Raises `NameTaken` when a child of that name is alive, and `NoProcess` when the supervisor does not run.
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
        """Start a child; return its reference once its `init` is done.

        The default name is that of the factory. Raises `StartFailed` when `init` raises; the child has ended by then,
        and is not kept. On cancellation the child is stopped, and waited for.
        """
        spec = child if isinstance(child, ChildSpec) else ChildSpec(child, name, restart, settings)
        process = spec.make(self.scheduler)
        self._take(SupervisedEntry(cast("Process[object]", process), spec.restart))
        await _until_started(process, process.kill)
        return Ref(process)

    async def start_supervisor(
        self, name: str, restart: Restart = "permanent", **options: Unpack[SupervisorOptions]
    ) -> "Supervisor":
        """Start a supervisor as a child; return it once its children run. Raises as `start_child`.

        It stays valid when it is restarted: the children given here start again, and all others are gone.
        """
        supervisor = Supervisor(name, self.scheduler, **options)
        self._take(SupervisedEntry(supervisor, restart))
        await _until_started(supervisor, supervisor.kill)
        return supervisor

    async def terminate_child(self, name: str) -> None:
        """Stop a child within its shutdown time, and return when it has ended. An ended child is left as it is.

        Raises `NoChild`, and `WaitForSelf` in a callback of the child. On cancellation the child ends without being
        waited for.
        """
        child = self._child(name)
        check_end_of(child.process, f"the end of {name!r}")
        self.table.stop(child)
        await asyncio.shield(child.process.terminated)

    async def restart_child(self, name: str) -> Ref[object]:
        """Start an ended child again by its kept spec; return its new reference.

        Raises `NoChild`, `ChildIsAlive`, and the errors of `start_child`.
        """
        child = self._child(name)
        if child.spec is None or child.status is not ChildStatus.ENDED:
            raise ChildIsAlive(self.name, name)
        self._check(name)
        process = self.table.make_anew(child, child.spec)
        child.status = ChildStatus.UP
        process.start()
        await _until_started(process, process.kill)
        return Ref(process)

    def delete_child(self, name: str) -> None:
        """Forget the spec of a child that has ended. Raises `NoChild` and `ChildIsAlive`."""
        child = self._child(name)
        if not child.has_ended or child.status is ChildStatus.DOWN:
            raise ChildIsAlive(self.name, name)
        del self.table.entries[name]

    def which_children(self) -> list[ChildInfo]:
        """Return the infos of the children, in the order of their start."""
        return self.table.children()

    def count_children(self) -> ChildCount:
        """Return the number of children."""
        return self.table.counts()

    @overload
    def whereis(self, name: str) -> Ref[object]: ...
    @overload
    def whereis(self, name: str, server: type[S]) -> Ref[S]: ...

    def whereis(self, name: str, server: type[object] = object) -> Ref[object]:
        """Return the reference of a child; `server` gives its class to the type checker.

        Raises `NoChild`, and `NoProcess` when the child has ended for good.
        """
        child = self._child(name)
        if child.has_ended:
            raise NoProcess(name)
        return Ref(child.process)

    def supervisor(self, name: str, kind: type[T]) -> T:
        """Return the child of that name, which must be a supervisor of class `kind`.

        Ask again after a restart of this supervisor. Raises `NoChild` for a child of another class, too, and
        `NoProcess` when the child has ended for good.
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
        if not self.restarts_children:
            raise NoProcess(self.name)

    def _take(self, child: SupervisedEntry) -> None:
        self._check(child.process.name)
        self.table.start(child)

    @property
    def restarts_children(self) -> bool:
        """Whether a child that exits now may be started again."""
        return self.is_alive and self._stop_reason is None

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
        return [child.process for child in self.table.entries.values() if not child.has_ended]

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


async def _until_started(process: Process[T], end: Callable[[], None]) -> None:
    """Wait until a process runs. On cancellation call `end`, and wait until it has ended."""
    try:
        await asyncio.shield(process.started)
    except asyncio.CancelledError:
        end()
        await asyncio.shield(process.terminated)
        raise
