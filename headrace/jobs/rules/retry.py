"""Back-off and durations.

Pure: the caller passes the random function.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeGuard

from headrace.jobs.errors import BadAnswer, BadTime
from headrace.jobs.job import LONGEST_SECONDS, Discard, Job, after, in_seconds

Random = Callable[[], float]
"""Returns a number from 0 up to but not including 1, as `random.random` does."""

BackoffFunction = Callable[[int, BaseException, Job], float | timedelta | Discard | None]
"""Gets the number of the failed attempt (from 1), its error and the job.

It returns seconds, a timedelta, `Discard`, or None for Oban's seconds."""

Backoff = Literal["oban", "sidekiq"] | float | BackoffFunction
"""How long to wait after a failed attempt: by a named formula, a fixed number of seconds, or a function."""

_CLAMP: Final = 20
"""The highest exponent: beyond it the wait would exceed 12 days. More attempts are spread over the same curve."""

_MINIMUM_SECONDS: Final = 15
"""Oban's and Sidekiq's shortest wait, jitter aside."""


def oban_seconds(attempt: int, max_attempts: int, random: Random) -> int:
    """Return Oban's wait: 15 + 2ⁿ and up to a tenth more. n is the attempt, scaled to 20 if more are allowed.

    >>> [oban_seconds(attempt, 20, lambda: 0.0) for attempt in (1, 2, 10, 20)]
    [17, 19, 1039, 1048591]
    """
    if max_attempts <= _CLAMP:
        step = min(attempt, _CLAMP)
    else:
        step = math.floor(min(attempt / max_attempts, 1.0) * _CLAMP + 0.5)
    seconds = _MINIMUM_SECONDS + (1 << step)
    return seconds + int(random() * seconds * 0.1)


def sidekiq_seconds(attempt: int, random: Random) -> int:
    """Return Sidekiq's wait: n⁴ + 15 and less than 10·(n + 1) more, where n attempts came before this one.

    >>> [sidekiq_seconds(attempt, lambda: 0.0) for attempt in (1, 2, 10, 25)]
    [15, 16, 6576, 331791]
    """
    count = attempt - 1
    return count**4 + _MINIMUM_SECONDS + int(random() * 10 * (count + 1))


def retry_seconds(backoff: Backoff, job: Job, error: BaseException, random: Random) -> float | Discard:
    """Return the wait of a job whose present attempt failed with `error`, in seconds, or `Discard`.

    Raises the errors of a function, and `BadAnswer` when it returns anything else.
    """
    if backoff == "oban":
        return min(oban_seconds(job.attempt, job.max_attempts, random), LONGEST_SECONDS)
    if backoff == "sidekiq":
        return min(sidekiq_seconds(job.attempt, random), LONGEST_SECONDS)
    if not callable(backoff):
        return float(backoff)
    answer: object = in_seconds(backoff(job.attempt, error, job))
    if answer is None:
        return oban_seconds(job.attempt, job.max_attempts, random)
    if isinstance(answer, Discard):
        return answer
    if is_number(answer) and answer >= 0:
        return min(float(answer), LONGEST_SECONDS)
    what = f"the backoff of worker {job.worker!r}"
    why = f"returned {answer!r:.100}, and must return seconds, Discard, a timedelta or None"
    raise BadAnswer(what, why)


LONGEST_DURATION_SECONDS: Final = timedelta(days=36500).total_seconds()
"""A hundred years: longer than any job waits or is kept, and short enough that no date overflows."""


def is_duration(value: object) -> TypeGuard[float]:
    """Return whether a value is a number of seconds, 0 or more, that a clock can wait.

    >>> [is_duration(value) for value in (0, 1.5, -1, float("nan"), "soon", True, 1e18)]
    [True, True, False, False, False, False, False]
    """
    return is_number(value) and 0 <= value <= LONGEST_DURATION_SECONDS


def check_timeout(seconds: object) -> None:
    """Raise `BadTime` for a bad timeout of a result; None is no timeout."""
    if seconds is not None and not is_duration(seconds):
        why = "and must be seconds from 0 to a hundred years, or None to wait for as long as it takes"
        raise BadTime(seconds, "the timeout of a result", why)


def time_in(worker: str, seconds: object, now: datetime) -> datetime:
    """Return the time `seconds`, or a timedelta, after `now`; `now` for negative ones. Raises `BadTime`."""
    seconds = in_seconds(seconds)
    if not is_number(seconds) or seconds > LONGEST_DURATION_SECONDS:
        why = "and must be a number of seconds, or a timedelta, at most a hundred years"
        raise BadTime(seconds, f"the delay of a job of worker {worker!r}", why)
    return after(now, max(seconds, 0))


def time_at(worker: str, time: object) -> datetime:
    """Return a time at which a job can run, in UTC. Raises `BadTime`, also for a time without a time zone."""
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


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number other than NaN; a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
