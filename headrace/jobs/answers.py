"""What a worker may answer beside a value and an exception: come back later, call me off, give me up."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from headrace.jobs.errors import BadAnswer

LONGEST_SECONDS: Final = timedelta(days=3650).total_seconds()
"""How far off the next run of a job may be: ten years, so that no date overflows."""


@dataclass(frozen=True, slots=True)
class Snooze:
    """Run the job again after `seconds`; this attempt does not count."""

    seconds: float

    def __post_init__(self) -> None:
        """Refuse what is no span of time, where the worker still sees it."""
        if not 0 <= self.seconds <= LONGEST_SECONDS:
            allowed = "is no time to wait for: give seconds from 0 to ten years"
            raise BadAnswer(f"Snooze({self.seconds!r})", allowed)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Call the job off: it ends as cancelled, for this reason, and is not tried again."""

    reason: str = "the worker called it off"


@dataclass(frozen=True, slots=True)
class Discard:
    """Give the job up: it ends as discarded, for this reason, whatever attempts it has left."""

    reason: str = "the worker gave it up"
