"""Spans of time that jobs are told in seconds, and the times at which they are to run (pure)."""

import math
from datetime import UTC, datetime, timedelta
from typing import Final, TypeGuard

from headrace.jobs.errors import BadTime
from headrace.jobs.job import after

LONGEST_DURATION_SECONDS: Final = timedelta(days=36500).total_seconds()
"""A hundred years: longer than any job waits or is kept, and short enough that no date overflows."""


def is_span(value: object) -> TypeGuard[float]:
    """Return whether it is a number of seconds, none of them or more, that a clock can wait for.

    >>> is_span(0), is_span(1.5), is_span(-1), is_span(float("nan")), is_span("soon"), is_span(True), is_span(1e18)
    (True, True, False, False, False, False, False)
    """
    return _is_number(value) and 0 <= value <= LONGEST_DURATION_SECONDS


def check_timeout(seconds: object) -> None:
    """Raise `BadTime` for what nobody can wait; None is without end."""
    if seconds is not None and not is_span(seconds):
        why = "and must be seconds from 0 to a hundred years, or None to wait for as long as it takes"
        raise BadTime(seconds, "the timeout of a result", why)


def time_in(worker: str, seconds: object, now: datetime) -> datetime:
    """Return the time that is `seconds`, or a timedelta, after `now`; now for less than none. Raises `BadTime`."""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if not _is_number(seconds) or seconds > LONGEST_DURATION_SECONDS:
        why = "and must be a number of seconds, or a timedelta, at most a hundred years"
        raise BadTime(seconds, f"the delay of a job of worker {worker!r}", why)
    return after(now, max(seconds, 0))


def time_at(worker: str, time: object) -> datetime:
    """Return a time at which a job can run. Raises `BadTime` for one without a time zone, and for what is none."""
    why = None
    if not isinstance(time, datetime):
        why = "and must be a datetime, as in datetime.now(UTC) + timedelta(hours=1)"
    elif time.utcoffset() is None:
        why = "which has no time zone: add one, as in datetime.now(UTC)"
    else:
        try:
            return time.astimezone(UTC)
        except OverflowError:
            why = "which is beyond what UTC has"
    raise BadTime(time, f"the time of a job of worker {worker!r}", why)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
