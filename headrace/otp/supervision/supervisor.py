"""Starts children, restarts them after a crash, and exits when that happens too often: OTP's supervisor."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar, Unpack, cast, overload

from typing_extensions import override

from headrace.errors import (
    ChildIsAlive,
    ChildKept,
    ForeignThread,
    NameTaken,
    NoChild,
    NoProcess,
    RestartsExhausted,
    StartFailed,
    Unrecoverable,
)
from headrace.otp.process.own_end import check_end_of
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.process.state import ProcessSettings
from headrace.otp.ref import Ref, S
from headrace.otp.scheduler import IDLE, MORE, Scheduler
from headrace.otp.supervision.child_spec import (
    Child,
    ChildCount,
    ChildInfo,
    ChildSpec,
    SupervisorOptions,
    check_options,
    counted,
)
from headrace.otp.supervision.child_table import ChildEntry, ChildStatus, GroupRestart, start_and_wait, stop_and_wait
from headrace.otp.supervision.restart import (
    MAX_RESTARTS,
    MAX_SECONDS,
    Restart,
    RestartWindow,
    Strategy,
    affected,
    wants_restart,
)
from headrace.telemetry.events import LOG

T = TypeVar("T")

_ANY_SETTINGS: Final = ProcessSettings()
_OWN_SETTINGS: Final = ProcessSettings(shutdown_seconds=None)
"""A supervisor has all the time that its children need to stop; each of them has a bound of its own (OTP's rule)."""

_ALIVE: Final = (ProcessStatus.STARTING, ProcessStatus.RUNNING)


class Supervisor(Process[object]):
    """Children that are restarted as their specs and the strategy say, and stopped last started first.

    The restarts of all children count together: a child that fails counts once, however many are restarted with it. One
    crash more than allowed, and the supervisor stops its children and ends with `RestartsExhausted`, which is a crash
    to a supervisor above it. A child that was stopped, and one whose `init` has never succeeded, is not
    restarted. Ended children are forgotten; of the `children` given at the start, all but temporary ones keep their
    specs, so that `restart_child` works, and come back when the supervisor is itself restarted.
    """

    __slots__ = ("_exits", "_group", "_is_opening", "_specs", "children", "strategy", "window")

    def __init__(self, name: str, scheduler: Scheduler | None = None, **options: Unpack[SupervisorOptions]) -> None:
        """Live on `scheduler`, or on a new one of the running loop. Raises `BadOption`."""
        check_options(options)
        super().__init__(name, object, Scheduler() if scheduler is None else scheduler, _OWN_SETTINGS)
        self.window = RestartWindow(options.get("max_restarts", MAX_RESTARTS), options.get("max_seconds", MAX_SECONDS))
        self.strategy: Strategy = options.get("strategy", "one_for_one")
        self._specs = tuple(options.get("children", ()))
        self.children: dict[str, ChildEntry] = {}
        self._exits: deque[tuple[ChildEntry, ExitReason]] = deque()
        self._group = GroupRestart()
        self._is_opening = False

    async def __aenter__(self) -> Self:
        """Start, with the children given; return once they run.

        Raises `StartFailed` when one of them does not start, once those before it have ended.
        """
        await start_and_wait(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the children, last started first, and wait for them; raise what the supervisor gave up with."""
        await stop_and_wait(self, error)

    def supervise(self, child: Child, restart: Restart = "permanent") -> None:
        """Watch over a process, and start it.

        Raises `NameTaken` when a child of that name lives, and `NoProcess` when the supervisor itself does not run.
        """
        self._take(ChildEntry(child, restart))

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
        self._take(ChildEntry(process, spec.restart, spec.kind))
        await self._until_started(process)
        return Ref(process)

    async def start_supervisor(
        self, name: str, restart: Restart = "permanent", **options: Unpack[SupervisorOptions]
    ) -> "Supervisor":
        """Start a supervisor under this one, and return it once its children run. Otherwise as `start_child`.

        It stays good when it is restarted: the children given here come back then, and any other is gone.
        """
        supervisor = Supervisor(name, self.scheduler, **options)
        self._take(ChildEntry(supervisor, restart, "supervisor"))
        await self._until_started(supervisor)
        return supervisor

    async def terminate_child(self, name: str) -> None:
        """Stop a child within its shutdown time, and return when it has ended; nothing happens if it had.

        Raises `NoChild`, and `WaitForSelf` in its own callback. A cancelled caller does not wait; it ends all the same.
        """
        child = self._child(name)
        check_end_of(cast("Process[object]", child.process), f"the end of {name!r}")
        child.process.stop()
        if child.status is ChildStatus.DOWN:
            self._put_away(child, "shutdown")
        await asyncio.shield(child.process.terminated)

    async def restart_child(self, name: str) -> Ref[object]:
        """Start a child again whose spec was kept when it ended; return its new reference.

        Raises `NoChild`, `ChildIsAlive`, and else what `start_child` raises.
        """
        child = self._child(name)
        if child.spec is None or child.status is not ChildStatus.ENDED:
            raise ChildIsAlive(self.name, name)
        self._check(name)
        process = self._make_anew(child, child.spec)
        child.status = ChildStatus.UP
        process.start()
        await self._until_started(process)
        return Ref(process)

    def delete_child(self, name: str) -> None:
        """Forget the spec of a child that has ended. Raises `NoChild` and `ChildIsAlive`."""
        child = self._child(name)
        if not child.has_ended or child.status is ChildStatus.DOWN:
            raise ChildIsAlive(self.name, name)
        del self.children[name]

    def which_children(self) -> list[ChildInfo]:
        """Return what there is to tell of each child, in the order of their start."""
        return [child.info() for child in self.children.values()]

    def count_children(self) -> ChildCount:
        """Return how many children there are."""
        return counted(self.which_children())

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
            kinds = (name for name, one in self.children.items() if isinstance(one.process, kind))
            raise NoChild(self.name, name, kinds)
        if child.has_ended:
            raise NoProcess(name)
        return child.process

    def _child(self, name: str) -> ChildEntry:
        if not self.scheduler.is_own_thread():
            what = f"question about child {name!r}"
            raise ForeignThread(what, "loop.call_soon_threadsafe")
        child = self.children.get(name)
        if child is None:
            raise NoChild(self.name, name, self.children)
        return child

    def _check(self, name: str) -> None:
        if not self.scheduler.is_own_thread():
            what = f"start of {name!r}"
            raise ForeignThread(what, "loop.call_soon_threadsafe")
        if self.state not in _ALIVE or self._stop_reason is not None:
            raise NoProcess(self.name)

    def _take(self, child: ChildEntry) -> None:
        process = child.process
        self._check(process.name)
        other = self.children.get(process.name)
        if other is not None:
            if other.status is ChildStatus.ENDED:
                raise ChildKept(self.name, process.name)
            if not other.has_ended:
                raise NameTaken(process.name)
            del self.children[process.name]
        self.children[process.name] = child
        process.observer = partial(self._child_ended, child)
        process.start()

    async def _until_started(self, process: Child) -> None:
        try:
            await asyncio.shield(process.started)
        except asyncio.CancelledError:
            process.kill()
            await asyncio.shield(process.terminated)
            raise

    def _make_anew(self, child: ChildEntry, spec: ChildSpec[object]) -> Process[object]:
        process = spec.make(self.scheduler)
        process.observer = partial(self._child_ended, child)
        child.process = process
        return process

    def _child_ended(self, child: ChildEntry, reason: ExitReason) -> None:
        if self.state is ProcessStatus.ENDED:
            self._put_away(child, reason)
            return
        self._exits.append((child, reason))
        self.scheduler.wake(self.turns)

    @override
    def turn(self) -> int:
        if self._exits:
            self._decide(*self._exits.popleft())
            return MORE
        if (self._is_opening or not self._group.is_through) and self._is_alive:
            return self._go_on()
        if self.has_control:
            return self.handle_control()
        return IDLE

    @property
    def _is_alive(self) -> bool:
        return self.state in _ALIVE and self._stop_reason is None

    def _go_on(self) -> int:
        """Stop or start the next child of a group; run when the first ones have come."""
        if self._group.step(self._start_down):
            return MORE
        if not self._group.is_through:
            return IDLE
        if self._is_opening:
            self._is_opening = False
            self._initialised(None)
        return MORE

    @override
    def _initialise(self) -> None:
        self.children.clear()
        self._group.clear()
        for spec in self._specs:
            child = ChildEntry(spec.make(self.scheduler), spec.restart, spec.kind, spec, ChildStatus.DOWN)
            child.process.observer = partial(self._child_ended, child)
            self.children[spec.id] = child
        self._group.start(self.children.values())
        self._is_opening = True
        self.scheduler.wake(self.turns)

    def _start_down(self, child: ChildEntry) -> None:
        """Start a child with its group, unless it was stopped meanwhile."""
        if child.process.no_restart:
            self._put_away(child, "shutdown")
            return
        if child.has_ended and child.spec is not None:
            self._make_anew(child, child.spec)
        child.status = ChildStatus.STARTING
        process = child.process
        if process.started.done():
            process.started = self.scheduler.loop.create_future()
        process.started.add_done_callback(lambda _: self.scheduler.wake(self.turns))
        if process.state is ProcessStatus.NEW:
            process.start()
        else:
            process.restart()

    def _decide(self, child: ChildEntry, reason: ExitReason) -> None:
        self._group.left(child)
        if not self._is_to_restart(child, reason):
            has_run = child.process.has_run
            self._put_away(child, reason)
            if self._is_alive:
                self._exit_if_unrecoverable(child, reason, has_run=has_run)
        elif child.status is ChildStatus.LEAVING:
            child.status = ChildStatus.DOWN
        elif not self.window.allows(self.scheduler.clock()):
            window = self.window
            self._put_away(child, reason)
            self.exit(RestartsExhausted(child.process.name, window.max_restarts, window.max_seconds, reason))
        else:
            self._restart(child)

    def _is_to_restart(self, child: ChildEntry, reason: ExitReason) -> bool:
        process = child.process
        if not self._is_alive or child.has_ended or process.no_restart or isinstance(reason, Unrecoverable):
            return False
        if not process.has_run and (child.status is not ChildStatus.STARTING or self.state is ProcessStatus.STARTING):
            return False
        is_normal = not isinstance(reason, BaseException)
        return wants_restart(child.restart, is_normal=is_normal and child.status is not ChildStatus.LEAVING)

    def _exit_if_unrecoverable(self, child: ChildEntry, reason: ExitReason, *, has_run: bool) -> None:
        """Exit at once with an error that no restart would mend, and when one of the first children does not start."""
        if has_run and isinstance(reason, Unrecoverable):
            self.exit(reason)
        elif not has_run and child.spec is not None and self.state is ProcessStatus.STARTING:
            self.exit(StartFailed(child.process.name, reason))

    def _restart(self, child: ChildEntry) -> None:
        name = child.process.name
        if self.strategy == "one_for_one":
            LOG.warning("restarting %r", name)
            child.status = ChildStatus.UP
            child.process.restart()
            return
        names = affected(self.strategy, list(self.children), name)
        others = ", ".join(each for each in names if each != name) or "nobody"
        LOG.warning("restarting %r, and with it %s", name, others)
        child.status = ChildStatus.DOWN
        self._group.gather(self.children.values(), set(names))

    def _put_away(self, child: ChildEntry, reason: ExitReason) -> None:
        """Finalize a child: keep its spec, or forget it."""
        child.process.finalize(reason)
        name = child.process.name
        child.status = ChildStatus.ENDED
        if not child.is_kept and self.children.get(name) is child:
            del self.children[name]

    @override
    def _report(self, reason: BaseException) -> None:
        if not isinstance(reason, Unrecoverable):
            super()._report(reason)

    @override
    def finalize_pending(self, reason: ExitReason) -> None:
        while self._exits:
            self._put_away(*self._exits.popleft())

    @override
    def child_entries(self) -> Iterable[Process[object]]:
        return [cast("Process[object]", child.process) for child in self.children.values() if not child.has_ended]

    @override
    def _ended(self) -> None:
        for child in reversed(list(self.children.values())):
            if not child.has_ended:
                child.process.stop()
        super()._ended()

    @override
    def release(self) -> object:
        self._group.clear()
        self._is_opening = False
        return self._stop_children() if self.children else None

    async def _stop_children(self) -> None:
        for child in reversed(list(self.children.values())):
            if child.status is ChildStatus.DOWN:
                self._put_away(child, child.process.reason or "shutdown")
            elif not child.has_ended:
                child.process.stop()
                await asyncio.shield(child.process.terminated)
