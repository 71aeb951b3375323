"""`ProcessState`: status, exit reason, exit hooks, settings and option checks."""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from headrace.errors import BadOption, StartFailed

ExitReason = Literal["normal", "shutdown"] | BaseException
"""Why a process ended: it was done, it was stopped, or the exception that it raised."""

Hook = Callable[[ExitReason], None]
"""Called once with the exit reason when a life ends. It must not wait."""


Kind = Literal["worker", "supervisor"]
"""OTP's kinds of children."""


class ProcessStatus(enum.Enum):
    """The status of a process."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    CRASHED = "crashed"
    ENDED = "ended"


class ProcessState:
    """The status of a process, as other processes see it.

    It has one life after the other while it is restarted, each of which ends; and it ends for good, once.
    """

    __slots__ = (
        "exit_hooks",
        "has_run",
        "is_busy",
        "name",
        "no_restart",
        "observer",
        "reason",
        "restarts",
        "started",
        "state",
        "terminated",
    )

    kind: ClassVar[Kind] = "worker"

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self.state = ProcessStatus.NEW
        self.reason: ExitReason | None = None
        self.restarts = 0
        self.has_run = False
        self.is_busy = False
        self.no_restart = False
        self.started: asyncio.Future[None] = loop.create_future()
        self.terminated: asyncio.Future[ExitReason] = loop.create_future()
        self.observer: Hook | None = None
        self.exit_hooks: dict[object, Hook] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it is about to run, or runs, and has not begun to end."""
        return self.state in (ProcessStatus.STARTING, ProcessStatus.RUNNING)

    def on_exit(self, key: object, hook: Hook) -> None:
        """Call `hook` with the exit reason when this life ends; `remove_on_exit(key)` removes it."""
        if self.exit_hooks is None:
            self.exit_hooks = {}
        self.exit_hooks[key] = hook

    def remove_on_exit(self, key: object) -> None:
        """Remove the exit hook of `key`, if it is there."""
        if self.exit_hooks is not None:
            self.exit_hooks.pop(key, None)

    def take_exit_hooks(self) -> list[Hook]:
        """Remove and return the exit hooks of this life, in their order."""
        exit_hooks, self.exit_hooks = self.exit_hooks, None
        return [] if exit_hooks is None else list(exit_hooks.values())

    def has_started(self) -> None:
        """Resolve `started`: it runs."""
        self.has_run = True
        if not self.started.done():
            self.started.set_result(None)

    def has_ended(self, reason: ExitReason) -> None:
        """Resolve `started` and `terminated`: it has ended for good."""
        if not self.started.done():
            self.started.set_exception(StartFailed(self.name, reason))
            self.started.exception()  # whoever started the process may not wait for it
        if not self.terminated.done():
            self.terminated.set_result(reason)


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
    """Raise `BadOption` unless `found` is a reason with which a process may be stopped."""
    if found not in ("normal", "shutdown") and not isinstance(found, BaseException):
        raise BadOption("reason", found, "'normal', 'shutdown' or an exception")


MAILBOX_LIMIT: Final = 10_000
"""How many calls and casts a mailbox holds by default."""

SHUTDOWN_SECONDS: Final = 5.0
"""How long a callback may go on when its process is stopped (OTP's default)."""


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
