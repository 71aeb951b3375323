"""`ProcessState`: status, exit reason, exit hooks, settings and option checks."""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from headrace.errors import BadOption, StartFailed
from headrace.otp.scheduler import HELD_ADVICE, report_held_loop

ExitReason = Literal["normal", "shutdown"] | BaseException
"""Why a process ended: it was done, it was told to stop, or what it raised."""

Hook = Callable[[ExitReason], None]
"""Told once why a life ended. It must not wait."""


class ProcessStatus(enum.Enum):
    """Where a process is in its life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    CRASHED = "crashed"
    ENDED = "ended"


class ProcessState:
    """What is known of a process from outside.

    It has one life after the other while it is restarted, each of which ends; and it ends for good, once.
    """

    __slots__ = (
        "_has_held_loop",
        "buried",
        "endings",
        "has_run",
        "is_busy",
        "is_final",
        "name",
        "observer",
        "reason",
        "restarts",
        "started",
        "state",
    )

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self.state = ProcessStatus.NEW
        self.reason: ExitReason | None = None
        self.restarts = 0
        self.has_run = False
        self._has_held_loop = False
        self.is_busy = False
        self.is_final = False
        self.started: asyncio.Future[None] = loop.create_future()
        self.buried: asyncio.Future[ExitReason] = loop.create_future()
        self.observer: Hook | None = None
        self.endings: dict[object, Hook] | None = None

    @property
    def held_advice(self) -> str:
        """What a user can do when this process holds the loop."""
        return HELD_ADVICE

    def held_the_loop(self, seconds: float) -> None:
        """Name a process once whose callback held the loop for long."""
        if not self._has_held_loop:
            self._has_held_loop = True
            report_held_loop(self.name, seconds, self.held_advice)

    @property
    def is_living(self) -> bool:
        """Whether it is about to run, or runs, and has not begun to end."""
        return self.state in (ProcessStatus.STARTING, ProcessStatus.RUNNING)

    def at_end(self, key: object, hook: Hook) -> None:
        """Have `hook` told why this life ended, when it has; `key` takes it back."""
        if self.endings is None:
            self.endings = {}
        self.endings[key] = hook

    def forget_at_end(self, key: object) -> None:
        """Take back what was to be told at the end of this life, if it is there."""
        if self.endings is not None:
            self.endings.pop(key, None)

    def take_endings(self) -> list[Hook]:
        """Return those who are to be told that this life has ended, in their order; they are told once."""
        endings, self.endings = self.endings, None
        return [] if endings is None else list(endings.values())

    def has_started(self) -> None:
        """Tell those who wait for the start that it runs."""
        self.has_run = True
        if not self.started.done():
            self.started.set_result(None)

    def has_ended(self, reason: ExitReason) -> None:
        """Tell those who wait for the start, or for the end, that it has ended for good."""
        if not self.started.done():
            self.started.set_exception(StartFailed(self.name, reason))
            self.started.exception()  # whoever started the process may not wait for it
        if not self.buried.done():
            self.buried.set_result(reason)


def check_count(option: str, found: object, least: int, otherwise: str = "") -> None:
    """Raise `BadOption` unless `found` is a whole number, `least` or more; `otherwise` says what else is allowed."""
    if not isinstance(found, int) or isinstance(found, bool) or found < least:
        raise BadOption(option, found, f"a whole number, {least} or more{otherwise}")


def check_seconds(option: str, found: object, otherwise: str = "") -> None:
    """Raise `BadOption` unless `found` is a number of seconds, 0 or more; `otherwise` says what else is allowed."""
    if not isinstance(found, int | float) or isinstance(found, bool) or not found >= 0:
        raise BadOption(option, found, f"a number of seconds, 0 or more{otherwise}")


def check_timeout(option: str, found: object) -> None:
    """Raise `BadOption` unless `found` is a number of seconds or None; one below 0 is over already."""
    if found is not None and (not isinstance(found, int | float) or isinstance(found, bool)):
        raise BadOption(option, found, "a number of seconds, or None for ever")


def check_reason(found: object) -> None:
    """Raise `BadOption` unless `found` is a reason with which a process may be told to end."""
    if found not in ("normal", "shutdown") and not isinstance(found, BaseException):
        raise BadOption("reason", found, "'normal', 'shutdown' or an exception")


MAILBOX_LIMIT: Final = 10_000
"""How many calls and casts a mailbox holds unless told otherwise."""

SHUTDOWN_SECONDS: Final = 5.0
"""How long a callback may go on when its process is told to stop (OTP's default)."""


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """The bound of the mailbox, in calls and casts; and how long each callback may go on in a stop, None for ever."""

    mailbox_limit: int = MAILBOX_LIMIT
    shutdown_seconds: float | None = SHUTDOWN_SECONDS

    def __post_init__(self) -> None:
        """Refuse what would leave a caller waiting. Raises `BadOption`."""
        check_count("mailbox_limit", self.mailbox_limit, 1)
        if self.shutdown_seconds is not None:
            check_seconds("shutdown_seconds", self.shutdown_seconds, ", or None for ever")
