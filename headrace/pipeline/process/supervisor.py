"""Starts children, restarts those that crash, and gives up when that happens too often: OTP's one_for_one."""

from collections import deque
from collections.abc import Callable
from functools import partial

from headrace.ground.errors import NameTaken, RestartsExhausted, Unrecoverable
from headrace.ground.telemetry import LOG
from headrace.pipeline.process.child import Child
from headrace.pipeline.process.gen_server import GenServerProcess
from headrace.pipeline.process.process import ExitReason, Process, State
from headrace.pipeline.process.ref import Ref, S
from headrace.pipeline.process.registry import Registry
from headrace.pipeline.process.restart import MAX_RESTARTS, MAX_SECONDS, Restart, RestartWindow, wants_restart
from headrace.pipeline.process.scheduler import IDLE, MORE, Scheduler


class Supervisor(Process[object]):
    """One_for_one: a child that ends is restarted alone, at most `max_restarts` times within `max_seconds`.

    The restarts of all children count together.

    One crash more, and the supervisor stops its children, last started first, and ends with `RestartsExhausted`.
    """

    __slots__ = ("_exits", "_restart_types", "children", "registry", "window")

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        *,
        max_restarts: int = MAX_RESTARTS,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        super().__init__(name, object, scheduler)
        self.window = RestartWindow(max_restarts, max_seconds)
        self.registry = Registry()
        self.children: dict[str, Child] = {}
        self._restart_types: dict[str, Restart] = {}
        self._exits: deque[tuple[Child, ExitReason]] = deque()

    def adopt(self, child: Child, restart: Restart = "permanent") -> None:
        """Watch over a process, and start it. Raises `NameTaken` when a child of that name lives."""
        living = self.children.get(child.name)
        if living is not None and living.state is not State.ENDED:
            raise NameTaken(child.name)
        self.children[child.name] = child
        self._restart_types[child.name] = restart
        child.observer = partial(self._child_ended, child)
        self.registry.register(child.name, child)
        child.start()

    async def start_child(
        self, factory: Callable[[], S], *, name: str | None = None, restart: Restart = "permanent"
    ) -> Ref[S]:
        """Start a GenServer under this supervisor; return its reference once its `init` is done.

        The name is the factory's own unless given. Raises `StartFailed` when `init` raises; the child is then not kept.
        """
        name = getattr(factory, "__name__", "child") if name is None else name
        child: GenServerProcess[S] = GenServerProcess(name, factory, self.scheduler)
        self.adopt(child, restart)
        await child.started
        return Ref(child)

    def _child_ended(self, child: Child, reason: ExitReason) -> None:
        self._exits.append((child, reason))
        self.scheduler.wake(self.turns)

    def turn(self) -> int:
        """Decide about one child that has ended."""
        if self._exits and self.state is not State.ENDED:
            self._decide(*self._exits.popleft())
            return MORE
        if self.needs_attention:
            return self.attend()
        return IDLE

    def _decide(self, child: Child, reason: ExitReason) -> None:
        if child.state is State.ENDED:
            return
        is_normal = not isinstance(reason, BaseException)
        has_never_run = child.started.done() and not child.started.cancelled() and child.started.exception() is not None
        is_wanted = wants_restart(self._restart_types[child.name], is_normal=is_normal) and not child.is_final
        if self.state is State.RUNNING and isinstance(reason, Unrecoverable) and not has_never_run:
            child.conclude(reason)
            self.exit(reason)
        elif self.state is not State.RUNNING or has_never_run or not is_wanted:
            child.conclude(reason)
        elif self.window.allows(self.scheduler.clock()):
            LOG.warning("restarting %r", child.name)
            child.restart()
        else:
            child.conclude(reason)
            window = self.window
            self.exit(RestartsExhausted(child.name, window.max_restarts, window.max_seconds, reason))

    def release(self) -> object:
        """Stop the children, last started first."""
        return self._stop_children()

    async def _stop_children(self) -> None:
        for child in reversed(list(self.children.values())):
            if child.state is not State.ENDED:
                child.stop()
                await child.buried
