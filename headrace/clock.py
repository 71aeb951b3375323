"""`Clock`, with wall and monotonic time, and `utc_now`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the wall time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks of a run: `now` is the wall time, and `monotonic` the seconds for durations.

    A test passes functions of its own.
    """

    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.perf_counter
