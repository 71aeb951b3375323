"""`Clock`, which tells the wall time and the monotonic time, and `utc_now`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the wall time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """The two times that a run reads: `now` for dates, and `monotonic`, in seconds, for durations.

    A test passes functions of its own.
    """

    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.perf_counter
