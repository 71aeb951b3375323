"""What is said about a process beside its class: how much mail it takes, and how long its callbacks may take to end."""

from dataclasses import dataclass
from typing import Final

from headrace.otp.process.options import check_count, check_seconds

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
