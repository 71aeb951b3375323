"""What a supervisor and a registry need of a process, whatever its callback object is."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from headrace.otp.process.process import ExitReason, State


class Child(Protocol):
    """A process that can be watched over, started again, and let go."""

    name: str
    state: State
    has_run: bool
    is_final: bool
    is_busy: bool
    reason: ExitReason | None
    started: asyncio.Future[None]
    buried: asyncio.Future[ExitReason]
    observer: Callable[[ExitReason], None] | None

    def start(self) -> None:
        """Begin."""

    def restart(self) -> None:
        """Begin again after a crash."""

    def stop(self, reason: ExitReason = "shutdown") -> None:
        """End soon."""

    def kill(self) -> None:
        """End now: what runs is cancelled."""

    def stop_after_callback(self, reason: ExitReason) -> None:
        """End when the running callback has returned; a supervisor decides what follows."""

    def cancel_later(self) -> None:
        """Cancel the running callback if it has not returned within the shutdown time."""

    def conclude(self, reason: ExitReason) -> None:
        """Be ended for good."""
