"""One run under the command line: listener, signals, progress."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from headrace.config.keys.pipeline import ListenKeys
from headrace.console.cli.streams import has_terminal, ignore_lost_terminal
from headrace.console.cli.summary import RunSummary
from headrace.errors import HeadraceError
from headrace.otp.scheduler import every
from headrace.pipeline.topology.run import DRAIN_SECONDS, RunOutcome
from headrace.pipeline.topology.snapshot import StageSnapshot, TopologySnapshot
from headrace.pipeline.topology.topology import Topology
from headrace.telemetry.events import LOG

if TYPE_CHECKING:
    from rich.console import Console

HANDLED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGHUP comes when the terminal closes, and drains a run that has one. Without a terminal it is only logged."""

_MAX_SIGNALS: Final = 2
"""Signals that the run handles. One more ends the OS process: a callback blocks the loop, and the run cannot react."""

_NO_RELOAD: Final = (
    "SIGHUP: reload is not supported yet, and the run goes on; to read its config anew, end it and start it again"
)


class Signals:
    """Counts the signals that ask for an end, and wakes the one waiter."""

    def __init__(self) -> None:
        self.count = 0
        self._has_terminal = has_terminal()
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()

    async def at_least(self, count: int) -> None:
        """Wait until `count` signals have arrived."""
        while self.count < count:
            self._arrived.clear()
            await self._arrived.wait()

    def _handle(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            if not self._has_terminal:
                self._loop.call_soon_threadsafe(LOG.warning, _NO_RELOAD)
                return
            ignore_lost_terminal()
        self.count += 1
        if self.count > _MAX_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._loop.call_soon_threadsafe(self._arrived.set)


@contextmanager
def signals() -> Iterator[Signals]:
    """Handle SIGINT, SIGTERM and SIGHUP while the block runs. Main thread only, in a running loop.

    A SIGHUP that is ignored stays ignored: `nohup` lets a run outlive its terminal. Without a terminal a SIGHUP is
    only logged.
    """
    found = Signals()
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    taken = [number for number in HANDLED if not (is_ignored and number == signal.SIGHUP)]
    before = {number: signal.signal(number, found._handle) for number in taken}  # noqa: SLF001 - one file, one noun
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


Clock = Callable[[], float]

TERMINAL_SECONDS: Final = 0.2
LINE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """Shows a snapshot every `seconds`. `handler` writes log records without breaking the line shown."""

    seconds: float
    show: Callable[[TopologySnapshot], None]
    handler: logging.Handler


@contextmanager
def on_terminal(clock: Clock) -> Iterator[ProgressLine]:
    """Keep one line at the bottom of the terminal; its last text stays when the block ends."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True)
    rate_estimate = RateEstimate(clock)
    # Output of stages goes above the line, unless stdout is redirected.
    with Live(console=console, auto_refresh=False, redirect_stdout=sys.stdout.isatty()) as live:

        def show(snapshot: TopologySnapshot) -> None:
            text = progress_text(snapshot, rate_estimate.read(snapshot))
            with suppress(OSError):  # the terminal has closed; SIGHUP drains the run
                live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

        yield ProgressLine(TERMINAL_SECONDS, show, _AboveTheLine(console))


@contextmanager
def in_lines(clock: Clock) -> Iterator[ProgressLine]:
    """Write a new line for every snapshot with new counts."""
    rate_estimate = RateEstimate(clock)
    before: list[object] = []

    def show(snapshot: TopologySnapshot) -> None:
        state = [snapshot.state, [handled(stage) for stage in snapshot.stages]]
        if state != before:
            before[:] = state
            print(progress_text(snapshot, rate_estimate.read(snapshot)), file=sys.stderr, flush=True)

    yield ProgressLine(LINE_SECONDS, show, logging.StreamHandler(sys.stderr))


class _AboveTheLine(logging.Handler):
    def __init__(self, console: "Console") -> None:
        super().__init__()
        self._console = console

    @override
    def emit(self, record: logging.LogRecord) -> None:
        from rich.text import Text

        with suppress(OSError):
            self._console.print(Text(self.format(record)), soft_wrap=True)


class RateEstimate:
    """Measures the events per second that the producers of a run have sent since the last reading."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = clock()
        self._sent = 0

    def read(self, snapshot: TopologySnapshot) -> float:
        """Return the rate since the last reading."""
        now, sent = self._clock(), sum(stage.events_sent for stage in snapshot.stages if stage.kind == "producer")
        seconds, events = now - self._at, sent - self._sent
        self._at, self._sent = now, sent
        return events / seconds if seconds > 0 else 0.0


def progress_text(snapshot: TopologySnapshot, rate: float) -> str:
    """Return the count of handled events of each stage, and the rate."""
    counts = ", ".join(f"{stage.name} {handled(stage):,}" for stage in snapshot.stages)
    return f"{snapshot.name} {snapshot.state}: {counts} ({rate:,.0f} events/s)"


def handled(stage: StageSnapshot) -> int:
    """Return the count of events that a producer has sent, or that any other stage has handled."""
    return stage.events_sent if stage.kind == "producer" else stage.events_received


@dataclass(frozen=True, slots=True)
class Listening:
    """The listener of a run: its access rules, and sockets that are bound already.

    `where` is its address for the log, as configured; `url` is one that this machine can open.
    """

    keys: ListenKeys
    sockets: tuple[socket.socket, ...]
    url: str
    where: str
    redactor: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The options of one run: without `listening` the run serves no HTTP; without `progress` it shows no progress."""

    listening: Listening | None = None
    progress: ProgressLine | None = None
    drain_seconds: float = DRAIN_SECONDS


async def run_until_end(topology: Topology, plan: RunPlan) -> RunSummary:
    """Run a topology to its end and return the summary; SIGINT, SIGTERM and a lost terminal drain it. Main thread."""
    clock = asyncio.get_running_loop().time
    began = clock()
    topology.drain_seconds = plan.drain_seconds
    with signals() as found:
        async with asyncio.TaskGroup() as group:
            run_loop = _RunLoop(topology, plan, group, found)
            async with _listening(topology, plan), _showing(topology, plan, group):
                outcome = await run_loop.run()
    has_run = run_loop.start_error is None and topology.state != "new"
    return RunSummary(
        outcome=outcome,
        snapshot=topology.snapshot() if has_run else None,
        seconds=clock() - began,
        start_error=run_loop.start_error,
        is_cut_short=run_loop.is_cut_short,
    )


class _RunLoop:
    def __init__(self, topology: Topology, plan: RunPlan, group: asyncio.TaskGroup, found: Signals) -> None:
        self._topology = topology
        self._plan = plan
        self._group = group
        self._signals = found
        self.start_error: HeadraceError | None = None
        self.is_cut_short = False

    async def run(self) -> RunOutcome | None:
        """Start the topology and wait for its end; None when it did not start, and no event failed or was lost."""
        starting = self._group.create_task(self._start())
        if not await self._is_before_signal(starting, 1):
            starting.cancel()
            await asyncio.wait({starting})
            return self._outcome_of_half_a_start()
        if self.start_error is not None:
            return None
        joined = self._group.create_task(self._topology.join())
        if await self._is_before_signal(joined, 1):
            return joined.result()
        return await self._drain()

    async def _start(self) -> None:
        try:
            await self._topology.start()
        except HeadraceError as error:
            self.start_error = error

    def _outcome_of_half_a_start(self) -> RunOutcome | None:
        """Return the outcome of a start that was cancelled while stages opened, if events failed or were lost."""
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
        """Wait for `work`, or for `count` signals; return whether the work was done first."""
        asked = self._group.create_task(self._signals.at_least(count))
        await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        return work.done()


@asynccontextmanager
async def _listening(topology: Topology, plan: RunPlan) -> AsyncIterator[None]:
    """Answer requests while the block runs."""
    listening = plan.listening
    if listening is None:
        yield
        return
    # A run without a listener loads no HTTP server, which takes 60 ms.
    from headrace.console.web.app import listener_app
    from headrace.http.server import HttpServer

    async with (
        listener_app(topology, listening.keys, listening.redactor) as app,
        HttpServer(app).serving(listening.sockets),
    ):
        LOG.info("listening on %s", listening.where)
        yield


@asynccontextmanager
async def _showing(topology: Topology, plan: RunPlan, group: asyncio.TaskGroup) -> AsyncIterator[None]:
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
