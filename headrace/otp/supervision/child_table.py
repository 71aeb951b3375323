"""The entries of a supervisor's children, and how they are started and stopped in order."""

import asyncio
import enum
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final, cast

from headrace.otp.process.own_end import check_end_of
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.ref import Ref
from headrace.otp.supervision.child_spec import Child, ChildInfo, ChildSpec, ChildState, Kind
from headrace.otp.supervision.restart import Restart


class ChildStatus(enum.Enum):
    """Where a child is, as far as its supervisor has decided about it."""

    UP = "up"
    """It lives, or its end is still to be decided about."""
    LEAVING = "leaving"
    """It is stopped with its group, or is about to be."""
    DOWN = "down"
    """It waits until it is started again."""
    STARTING = "starting"
    """It is started with its group, and the next one waits until it runs."""
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


@dataclass(slots=True, eq=False)
class ChildEntry:
    """A child: its process, its spec where that is kept when it has ended, and where it is."""

    process: Child
    restart: Restart
    kind: Kind = "worker"
    spec: ChildSpec[object] | None = None
    status: ChildStatus = ChildStatus.UP

    @property
    def has_ended(self) -> bool:
        """Whether it has ended for good."""
        return self.process.state is ProcessStatus.ENDED

    @property
    def may_start_with_its_group(self) -> bool:
        """Whether it is started again when others are; a stopped or a temporary child is not."""
        if self.restart == "temporary":
            return False
        return not self.has_ended or (
            self.status in (ChildStatus.ENDED, ChildStatus.DOWN) and not self.process.no_restart
        )

    @property
    def is_kept(self) -> bool:
        """Whether its spec stays when it has ended: a temporary child's does not, nor that of one started later."""
        return self.spec is not None and self.restart != "temporary"

    def stop_for_now(self) -> None:
        """Have it end within its shutdown time; what follows is its supervisor's to decide."""
        process = self.process
        process.stop_after_callback("shutdown")
        if process.is_busy and process.state in (ProcessStatus.STARTING, ProcessStatus.RUNNING):
            process.cancel_later()

    def info(self) -> ChildInfo:
        """Return its `ChildInfo`."""
        state = "restarting" if self.status is ChildStatus.DOWN else STATES[self.process.state]
        is_there = state not in ("restarting", "ended")
        ref = Ref(cast("Process[object]", self.process)) if is_there else None
        return ChildInfo(self.process.name, ref, self.kind, self.restart, state)


class GroupRestart:
    """Children that are to be stopped, last started first, and then started, each when the one before it runs."""

    def __init__(self) -> None:
        self._to_stop: list[ChildEntry] = []
        self._to_start: deque[ChildEntry] = deque()
        self._awaited: ChildEntry | None = None

    @property
    def is_through(self) -> bool:
        """Whether no child is to be stopped or started any more."""
        return not self._to_stop and not self._to_start and self._awaited is None

    def start(self, children: Iterable[ChildEntry]) -> None:
        """Have children started, one after the other."""
        self._to_start = deque(children)

    def gather(self, children: Iterable[ChildEntry], affected: Collection[str]) -> None:
        """Take in the `affected` children, beside any that are not through yet; `children` are all, in order."""
        under_way = (ChildStatus.LEAVING, ChildStatus.DOWN, ChildStatus.STARTING)
        members = [child for child in children if child.process.name in affected or child.status in under_way]
        if self._awaited is not None and self._awaited.status is ChildStatus.STARTING:
            self._awaited = None
        self._to_start = deque(child for child in members if child.may_start_with_its_group)
        for child in members:
            if child.status in (ChildStatus.UP, ChildStatus.STARTING) and not child.has_ended:
                child.status = ChildStatus.LEAVING
        for child in self._to_start:
            if child.status is ChildStatus.ENDED:
                child.status = ChildStatus.DOWN
        self._to_stop = [
            child for child in members if child.status is ChildStatus.LEAVING and child is not self._awaited
        ]

    def clear(self) -> None:
        """Stop and start no more children."""
        self._to_stop.clear()
        self._to_start.clear()
        self._awaited = None

    def left(self, child: ChildEntry) -> None:
        """Called when a child has ended: the group waits for it no more."""
        if self._awaited is child:
            self._awaited = None

    def step(self, start: Callable[[ChildEntry], None]) -> bool:
        """Stop the next child or `start` it; return False while the one before it is still awaited, or at the end."""
        awaited = self._awaited
        if awaited is not None and awaited.status is ChildStatus.STARTING and awaited.process.started.done():
            awaited.status = ChildStatus.UP
            self._awaited = None
        if self._awaited is not None:
            return False
        if self._to_stop:
            child = self._to_stop.pop()
            if child.status is ChildStatus.LEAVING:
                self._awaited = child
                child.stop_for_now()
            return True
        if self._to_start:
            child = self._to_start.popleft()
            if child.status is ChildStatus.DOWN:
                start(child)
            if child.status is ChildStatus.STARTING:
                self._awaited = child
            return True
        return False


async def start_and_wait(process: Child) -> None:
    """Start a process and wait until it runs. On cancellation it is stopped, and waited for."""
    process.start()
    try:
        await asyncio.shield(process.started)
    except asyncio.CancelledError:
        process.stop()
        await asyncio.shield(process.terminated)
        raise


async def end(process: Child) -> ExitReason:
    """Stop a process, wait until it has ended, and return why it has.

    On cancellation it is waited for all the same; a second one leaves it to end by itself. Raises `WaitForSelf` in a
    callback of one that it supervises.
    """
    check_end_of(cast("Process[object]", process), f"the end of {process.name!r}")
    process.stop()
    try:
        return await asyncio.shield(process.terminated)
    except asyncio.CancelledError:
        await asyncio.shield(process.terminated)
        raise


async def stop_and_wait(process: Child, error: BaseException | None) -> None:
    """End a process at the end of an `async with` that raised `error`, if anything; raise what the process ended with.

    The block's own error goes before it.
    """
    reason = await end(process)
    if error is None and isinstance(reason, BaseException):
        raise reason
