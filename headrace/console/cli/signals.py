"""Signals: the first asks for a drain, the second for an end at once, and a third ends the process itself."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from headrace.console.cli.streams import has_terminal, leave_lost_terminal
from headrace.telemetry.events import LOG

HANDLED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGHUP comes when the terminal goes: a run that has one drains. Without one it is sent to have files read anew."""

_PATIENCE: Final = 2
"""Signals that are left to the run. One more comes from somebody whose callback holds the loop and hears nothing."""

_NO_RELOAD: Final = (
    "SIGHUP: reload is not supported yet, and the run goes on; to read its config anew, end it and start it again"
)


class Signals:
    """Counts the signals that ask for an end, and wakes whoever waits for them. One waiter at a time."""

    def __init__(self) -> None:
        self.count = 0
        self._has_terminal = has_terminal()
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()

    async def at_least(self, count: int) -> None:
        """Wait until so many have arrived."""
        while self.count < count:
            self._arrived.clear()
            await self._arrived.wait()

    def _handle(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            if not self._has_terminal:
                self._loop.call_soon_threadsafe(LOG.warning, _NO_RELOAD)
                return
            leave_lost_terminal()
        self.count += 1
        if self.count > _PATIENCE:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._loop.call_soon_threadsafe(self._arrived.set)


@contextmanager
def signals() -> Iterator[Signals]:
    """Take SIGINT, SIGTERM and SIGHUP while the block runs. Main thread only, in a running loop.

    A SIGHUP that is ignored stays so: `nohup` lets a run outlive its terminal. Without a terminal one is logged,
    and ends nothing.
    """
    found = Signals()
    is_deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    taken = [number for number in HANDLED if not (is_deaf and number == signal.SIGHUP)]
    before = {number: signal.signal(number, found._handle) for number in taken}  # noqa: SLF001 - one file, one noun
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
