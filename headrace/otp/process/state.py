"""`ProcessState`: status, exit reason, exit hooks, settings and option checks."""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from headrace.errors import BadOption, StartFailed

ExitReason = Literal["normal", "shutdown"] | BaseException
"""Why a process ended: it was done, it was stopped, or it raised that exception."""

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

    A process has one life after another while it is restarted. Each life ends; the process ends for good once.
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
        """Whether the process starts or runs, and has not begun to end."""
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
        """Resolve `started`."""
        self.has_run = True
        if not self.started.done():
            self.started.set_result(None)

    def has_ended(self, reason: ExitReason) -> None:
        """Resolve `terminated`, and `started` with an error if the process never ran."""
        if not self.started.done():
            self.started.set_exception(StartFailed(self.name, reason))
            self.started.exception()  # the starter of the process may not wait for it
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
    """Raise `BadOption` unless `found` is a number of seconds or None. A number below 0 counts as 0."""
    if found is not None and (not isinstance(found, int | float) or isinstance(found, bool)):
        raise BadOption(option, found, "a number of seconds, or None for ever")


def check_reason(found: object) -> None:
    """Raise `BadOption` unless `found` is an exit reason with which a process may be stopped."""
    if found not in ("normal", "shutdown") and not isinstance(found, BaseException):
        raise BadOption("reason", found, "'normal', 'shutdown' or an exception")


MAILBOX_LIMIT: Final = 10_000
"""The default bound of a mailbox, in calls and casts."""

SHUTDOWN_SECONDS: Final = 5.0
"""How long a callback may go on when its process is stopped (OTP's default)."""


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """The bound of the mailbox, in calls and casts, and the time of a callback to return in a stop; None: no limit."""

    mailbox_limit: int = MAILBOX_LIMIT
    shutdown_seconds: float | None = SHUTDOWN_SECONDS

    def __post_init__(self) -> None:
        """Raise `BadOption` for values that would leave a caller waiting."""
        check_count("mailbox_limit", self.mailbox_limit, 1)
        if self.shutdown_seconds is not None:
            check_seconds("shutdown_seconds", self.shutdown_seconds, ", or None for ever")
