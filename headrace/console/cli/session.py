"""One run under the command line: the listener answers first, then start, signals, drain, and how it ended."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from headrace.config.keys.pipeline import ListenKeys
from headrace.console.cli.ending import Ending
from headrace.console.cli.progress import Progress
from headrace.console.cli.signals import Signals, signals
from headrace.console.web.app import listener_app
from headrace.errors import HeadraceError
from headrace.http.listener import Listener
from headrace.otp.scheduler import every
from headrace.pipeline.topology.run import DRAIN_SECONDS, RunOutcome
from headrace.pipeline.topology.topology import Topology
from headrace.telemetry.events import LOG


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a run answers: the rules of its door, and sockets that are bound already.

    `where` says it for the log, with the address as configured; `url` is one that this machine can open.
    """

    keys: ListenKeys
    sockets: tuple[socket.socket, ...]
    url: str
    where: str
    mask: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is attended: without `listening` it answers nobody, without `progress` it is quiet."""

    listening: Listening | None = None
    progress: Progress | None = None
    drain_seconds: float = DRAIN_SECONDS


async def attend(topology: Topology, plan: Plan) -> Ending:
    """Run a topology to its end and return how it ended; SIGINT, SIGTERM and a lost terminal drain it. Main thread."""
    clock = asyncio.get_running_loop().time
    began = clock()
    topology.drain_seconds = plan.drain_seconds
    with signals() as found:
        async with asyncio.TaskGroup() as group:
            attendance = _Attendance(topology, plan, group, found)
            async with _listening(topology, plan, group), _showing(topology, plan, group):
                outcome = await attendance.run()
    has_run = attendance.refusal is None and topology.state != "new"
    return Ending(
        outcome=outcome,
        snapshot=topology.snapshot() if has_run else None,
        seconds=clock() - began,
        refusal=attendance.refusal,
        is_cut_short=attendance.is_cut_short,
    )


class _Attendance:
    def __init__(self, topology: Topology, plan: Plan, group: asyncio.TaskGroup, found: Signals) -> None:
        self._topology = topology
        self._plan = plan
        self._group = group
        self._signals = found
        self.refusal: HeadraceError | None = None
        self.is_cut_short = False

    async def run(self) -> RunOutcome | None:
        """Start the topology and see it to its end; None when it did not start, and nothing came to harm."""
        starting = self._group.create_task(self._start())
        if not await self._is_before_signal(starting, 1):
            starting.cancel()
            await asyncio.wait({starting})
            return self._outcome_of_half_a_start()
        if self.refusal is not None:
            return None
        joined = self._group.create_task(self._topology.join())
        if await self._is_before_signal(joined, 1):
            return joined.result()
        return await self._drain()

    async def _start(self) -> None:
        try:
            await self._topology.start()
        except HeadraceError as error:
            self.refusal = error

    def _outcome_of_half_a_start(self) -> RunOutcome | None:
        """Return what became of events that some stages had taken in while others still opened, if any were lost."""
        if self._topology.state == "new":
            return None
        outcome = self._topology.outcome()
        is_harmed = outcome.reason or outcome.events_failed or outcome.events_lost or any(outcome.input_lost.values())
        return outcome if is_harmed else None

    async def _drain(self) -> RunOutcome:
        LOG.info(
            "draining pipeline %r: a signal asks for its end, and a second one ends it at once", self._topology.name
        )
        draining = self._group.create_task(self._topology.drain())
        if not await self._is_before_signal(draining, 2):
            LOG.warning("stopping pipeline %r at once: a second signal asks for it", self._topology.name)
            self.is_cut_short = True
            await self._topology.stop()
        return await draining

    async def _is_before_signal(self, work: asyncio.Task[RunOutcome] | asyncio.Task[None], count: int) -> bool:
        """Wait for `work`, or for so many signals; return whether the work was done first."""
        asked = self._group.create_task(self._signals.at_least(count))
        await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        return work.done()


@asynccontextmanager
async def _listening(topology: Topology, plan: Plan, group: asyncio.TaskGroup) -> AsyncIterator[None]:
    """Answer requests while the block runs."""
    listening = plan.listening
    if listening is None:
        yield
        return
    async with listener_app(topology, listening.keys, listening.mask) as app:
        listener = Listener(app, listening.sockets)
        serving = group.create_task(listener.serve())
        await listener.answers()
        LOG.info("listening on %s", listening.where)
        try:
            yield
        finally:
            listener.should_exit = True
            await serving


@asynccontextmanager
async def _showing(topology: Topology, plan: Plan, group: asyncio.TaskGroup) -> AsyncIterator[None]:
    """Show progress while the block runs, and once more at its end."""
    progress = plan.progress
    if progress is None:
        yield
        return

    def show(_: float = 0.0) -> None:
        if topology.state != "new":
            progress.show(topology.snapshot())

    showing = group.create_task(every(progress.seconds, show))
    try:
        yield
    finally:
        showing.cancel()
        show()
