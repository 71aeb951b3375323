"""How many jobs may start by now (pure): a token bucket, kept as the one time at which it is full again."""

import math
from dataclasses import dataclass
from typing import Final

from headrace.jobs.errors import BadLimit
from headrace.jobs.rules.queue_rules import is_limit

_PARTITION: Final = "worker, or a path such as args.customer or args.customer.id"

_A_LITTLE: Final = 0.001  # of a token: times of day have no more than a microsecond, and sums of them are not exact


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`count` jobs may start in each `period_seconds`; after a rest `burst` at once, by default as many as a period's.

    So within any stretch of time at most `burst` start, and as many as the stretch brings. With a `partition` that is
    so for each of its values: "worker", or a path into the args such as "args.customer".
    """

    count: float
    period_seconds: float = 1.0
    burst: int | None = None
    partition: str | None = None

    def __post_init__(self) -> None:
        """Raises BadLimit."""
        for what, value in (("rate_limit", self.count), ("period_seconds", self.period_seconds)):
            if not _is_number(value) or not 0 < value < math.inf:
                raise BadLimit(what, value, "a number above 0")
        if self.burst is not None and not is_limit(self.burst):
            raise BadLimit("burst", self.burst, "a whole number from 1 on; a partition is named: partition='args.sku'")
        check_partition(self.partition)

    @property
    def size(self) -> int:
        """How many tokens the bucket holds: at least one."""
        return self.burst if self.burst is not None else max(1, math.floor(self.count))

    @property
    def token_seconds(self) -> float:
        """How long one token takes to come."""
        return self.period_seconds / self.count

    def tokens(self, full_at: float, now: float) -> int:
        """Return how many jobs may start now, of a bucket that is full at `full_at`; both are seconds of one clock."""
        missing = (self._within(full_at, now) - now) / self.token_seconds
        return max(0, math.floor(self.size - missing + _A_LITTLE))

    def taken(self, full_at: float, now: float, count: int) -> float:
        """Return when the bucket is full again once `count` tokens are taken.

        Keep that also of 0 tokens when it is earlier than `full_at`: the clock was set back.
        """
        return self._within(full_at, now) + count * self.token_seconds

    def _within(self, full_at: float, now: float) -> float:
        """A full bucket takes nothing in; and none is emptier than empty, though the clock was set back."""
        return min(max(full_at, now), now + self.size * self.token_seconds)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_partition(partition: object) -> None:
    """Raises BadLimit for what names no part of a job."""
    if partition is None or partition == "worker":
        return
    if not isinstance(partition, str):
        raise BadLimit("partition", partition, _PARTITION)
    field, *keys = partition.split(".")
    if field not in {"args", "meta"} or not keys or not all(keys) or '"' in partition or "\\" in partition:
        raise BadLimit("partition", partition, _PARTITION)
