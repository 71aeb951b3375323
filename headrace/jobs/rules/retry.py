"""When a job that failed is tried again: Oban's back-off, Sidekiq's, a constant one, or a function's.

Pure: randomness is handed in, as a function that returns numbers from 0 up to but not including 1.
"""

import math
from collections.abc import Callable
from typing import Final, Literal

from headrace.jobs.errors import BadAnswer
from headrace.jobs.job import LONGEST_SECONDS, Discard, Job

Random = Callable[[], float]
"""Returns a number from 0 up to but not including 1, as `random.random` does."""

BackoffFunction = Callable[[int, BaseException, Job], float | Discard | None]
"""Gets the attempt that failed (from 1), its error and the job; returns seconds, `Discard`, or None for Oban's."""

Backoff = Literal["oban", "sidekiq"] | float | BackoffFunction
"""How long to wait after a failed attempt: a formula of that name, always the same number of seconds, or a function."""

_CLAMP: Final = 20
"""From there on Oban's doubling would be longer than 12 days; more attempts are spread over the same curve."""

_MINIMUM_SECONDS: Final = 15
"""Oban's and Sidekiq's shortest wait, jitter aside."""


def oban_seconds(attempt: int, max_attempts: int, random: Random) -> int:
    """Return Oban's wait: 15 + 2ⁿ and up to a tenth more, n being the attempt, scaled to 20 where more are allowed.

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
    """Return Sidekiq's wait: n⁴ + 15 and less than 10·(n + 1) more, n being how many attempts came before this one.

    >>> [sidekiq_seconds(attempt, lambda: 0.0) for attempt in (1, 2, 10, 25)]
    [15, 16, 6576, 331791]
    """
    count = attempt - 1
    return count**4 + _MINIMUM_SECONDS + int(random() * 10 * (count + 1))


def retry_seconds(backoff: Backoff, job: Job, error: BaseException, random: Random) -> float | Discard:
    """Return how long `job`, whose present attempt failed with `error`, waits for the next; or that it is given up.

    Raises what a function raises, and `BadAnswer` when it returns what is none of its answers.
    """
    if backoff == "oban":
        return min(oban_seconds(job.attempt, job.max_attempts, random), LONGEST_SECONDS)
    if backoff == "sidekiq":
        return min(sidekiq_seconds(job.attempt, random), LONGEST_SECONDS)
    if not callable(backoff):
        return float(backoff)
    answer: object = backoff(job.attempt, error, job)
    if answer is None:
        return oban_seconds(job.attempt, job.max_attempts, random)
    if isinstance(answer, Discard):
        return answer
    if isinstance(answer, int | float) and not isinstance(answer, bool) and answer >= 0:
        return min(float(answer), LONGEST_SECONDS)
    what = f"the backoff of worker {job.worker!r}"
    why = f"returned {answer!r:.100}, and must return seconds, Discard or None"
    raise BadAnswer(what, why)
