"""Progress of a run on stderr: a line that changes on a terminal, a line every so often elsewhere."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from headrace.pipeline.topology.snapshot import StageSnapshot, TopologySnapshot

Clock = Callable[[], float]

TERMINAL_SECONDS: Final = 0.2
LINE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Shows a snapshot every so often. `handler` writes log records, so that they do not break what is shown."""

    seconds: float
    show: Callable[[TopologySnapshot], None]
    handler: logging.Handler


@contextmanager
def on_terminal(clock: Clock) -> Iterator[Progress]:
    """Keep one line at the foot of the terminal, which stays as it is last when the block ends."""
    console = Console(stderr=True)
    meter = Meter(clock)
    # What stages print goes above the line, unless it goes elsewhere.
    with Live(console=console, auto_refresh=False, redirect_stdout=sys.stdout.isatty()) as live:

        def show(snapshot: TopologySnapshot) -> None:
            text = progress_text(snapshot, meter.read(snapshot))
            with suppress(OSError):  # the terminal has gone, and SIGHUP says what follows
                live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

        yield Progress(TERMINAL_SECONDS, show, _AboveTheLine(console))


@contextmanager
def in_lines(clock: Clock) -> Iterator[Progress]:
    """Write a new line for every snapshot in which something has happened."""
    meter = Meter(clock)
    before: list[object] = []

    def show(snapshot: TopologySnapshot) -> None:
        state = [snapshot.state, [handled(stage) for stage in snapshot.stages]]
        if state != before:
            before[:] = state
            print(progress_text(snapshot, meter.read(snapshot)), file=sys.stderr, flush=True)

    yield Progress(LINE_SECONDS, show, logging.StreamHandler(sys.stderr))


class _AboveTheLine(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._console.print(Text(self.format(record)), soft_wrap=True)


class Meter:
    """Measures how many events per second the producers of a run have sent since it was last read."""

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
    """Return how many events every stage has handled, and how fast they come."""
    counts = ", ".join(f"{stage.name} {handled(stage):,}" for stage in snapshot.stages)
    return f"{snapshot.name} {snapshot.state}: {counts} ({rate:,.0f} events/s)"


def handled(stage: StageSnapshot) -> int:
    """Return how many events a stage has dealt with: what a producer has sent, what any other is done with."""
    return stage.events_sent if stage.kind == "producer" else stage.events_received
