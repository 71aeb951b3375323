"""Starts children, restarts those that crash, and gives up when that happens too often: OTP's one_for_one."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Final, Self

from headrace.ground.errors import ForeignThread, NoProcess, RestartsExhausted, Unrecoverable
from headrace.ground.telemetry import LOG
from headrace.pipeline.process.child import Child
from headrace.pipeline.process.gen_server import GenServerProcess
from headrace.pipeline.process.process import ExitReason, Process, State
from headrace.pipeline.process.ref import Ref, S
from headrace.pipeline.process.registry import Registry
from headrace.pipeline.process.restart import MAX_RESTARTS, MAX_SECONDS, Restart, RestartWindow, wants_restart
from headrace.pipeline.process.scheduler import IDLE, MORE, Scheduler
from headrace.pipeline.process.settings import ProcessSettings

_ANY_SETTINGS: Final = ProcessSettings()
_OWN_SETTINGS: Final = ProcessSettings(shutdown_seconds=None)
"""A supervisor has all the time that its children need to stop; each of them has a bound of its own (OTP's rule)."""


class Supervisor(Process[object]):
    """One_for_one: a child that ends is restarted alone, at most `max_restarts` times within `max_seconds`.

    The restarts of all children count together. One crash more, and the supervisor stops its children, last started
    first, and ends with `RestartsExhausted`. A child that was told to stop, and one whose `init` has never succeeded,
    is not restarted; what has ended is forgotten, and its name is free.
    """

    __slots__ = ("_exits", "_restart_types", "children", "registry", "window")

    def __init__(
        self,
        name: str,
        scheduler: Scheduler | None = None,
        *,
        max_restarts: int = MAX_RESTARTS,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        """Live on `scheduler`, or on a new one of the running loop."""
        super().__init__(name, object, Scheduler() if scheduler is None else scheduler, _OWN_SETTINGS)
        self.window = RestartWindow(max_restarts, max_seconds)
        self.registry = Registry()
        self.children: dict[str, Child] = {}
        self._restart_types: dict[str, Restart] = {}
        self._exits: deque[tuple[Child, ExitReason]] = deque()

    async def __aenter__(self) -> Self:
        """Start, and return once children may be started."""
        self.start()
        await asyncio.shield(self.started)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the children, last started first, and wait for them; raise what the supervisor gave up with."""
        self.stop()
        reason = await asyncio.shield(self.buried)
        if error is None and isinstance(reason, BaseException):
            raise reason

    def adopt(self, child: Child, restart: Restart = "permanent") -> None:
        """Watch over a process, and start it.

        Raises `NameTaken` when a child of that name lives, and `NoProcess` when the supervisor itself does not run.
        """
        if not self.scheduler.is_own_thread():
            what = f"start of {child.name!r}"
            raise ForeignThread(what, "loop.call_soon_threadsafe")
        if self.state not in (State.STARTING, State.RUNNING) or self._stop_reason is not None:
            raise NoProcess(self.name)
        self.registry.register(child.name, child)
        self.children[child.name] = child
        self._restart_types[child.name] = restart
        child.observer = partial(self._child_ended, child)
        child.start()

    async def start_child(
        self,
        factory: Callable[[], S],
        *,
        name: str | None = None,
        restart: Restart = "permanent",
        settings: ProcessSettings = _ANY_SETTINGS,
    ) -> Ref[S]:
        """Start a GenServer under this supervisor; return its reference once its `init` is done.

        The name is the factory's own unless given. Raises `StartFailed` when `init` raises, once the child has ended;
        it is then not kept. On cancellation the child is stopped, and waited for.
        """
        name = getattr(factory, "__name__", "child") if name is None else name
        child: GenServerProcess[S] = GenServerProcess(name, factory, self.scheduler, settings)
        self.adopt(child, restart)
        try:
            await asyncio.shield(child.started)
        except asyncio.CancelledError:
            child.kill()
            await asyncio.shield(child.buried)
            raise
        return Ref(child)

    def _child_ended(self, child: Child, reason: ExitReason) -> None:
        self._exits.append((child, reason))
        self.scheduler.wake(self.turns)

    def turn(self) -> int:
        """Decide about one child that has ended; also while the others are being stopped, or after that."""
        if self._exits:
            self._decide(*self._exits.popleft())
            return MORE
        if self.needs_attention:
            return self.attend()
        return IDLE

    def _decide(self, child: Child, reason: ExitReason) -> None:
        is_to_restart = self._is_to_restart(child, reason)
        if is_to_restart and self.window.allows(self.scheduler.clock()):
            LOG.warning("restarting %r", child.name)
            child.restart()
            return
        child.conclude(reason)
        self._forget(child)
        if is_to_restart:
            window = self.window
            self.exit(RestartsExhausted(child.name, window.max_restarts, window.max_seconds, reason))
        elif self.state is State.RUNNING and child.has_run and isinstance(reason, Unrecoverable):
            self.exit(reason)

    def _is_to_restart(self, child: Child, reason: ExitReason) -> bool:
        if self.state is not State.RUNNING or child.state is State.ENDED or child.is_final or not child.has_run:
            return False
        is_normal = not isinstance(reason, BaseException)
        is_wanted = wants_restart(self._restart_types[child.name], is_normal=is_normal)
        return is_wanted and not isinstance(reason, Unrecoverable)

    def _forget(self, child: Child) -> None:
        self.registry.unregister(child.name, child)
        if self.children.get(child.name) is child:
            del self.children[child.name]
            del self._restart_types[child.name]

    def _report(self, reason: BaseException) -> None:
        """Say why it gave up, unless the child that could not be mended has just said it."""
        if not isinstance(reason, Unrecoverable):
            super()._report(reason)

    def release(self) -> object:
        """Stop the children, last started first."""
        return self._stop_children()

    async def _stop_children(self) -> None:
        for child in reversed(list(self.children.values())):
            if child.state is not State.ENDED:
                child.stop()
                await asyncio.shield(child.buried)
