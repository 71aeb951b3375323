"""Queue limits, rate limits, queue names."""

import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from headrace.jobs.errors import BadLimit, BadQueue
from headrace.jobs.job import Job
from headrace.jobs.rules.retry import is_number

NAME_LIMIT: Final = 127
"""Characters of a worker's or a queue's name (Oban's check)."""

LARGEST_LIMIT: Final = 2**31 - 1
"""More than any OS process can run at a time, and a number that every store can keep."""

NAME: Final = f"text of 1 to {NAME_LIMIT} characters"


def is_name(value: object) -> bool:
    """Return whether a worker or a queue may have this name.

    >>> is_name("mail"), is_name(""), is_name(5)
    (True, False, False)
    """
    return isinstance(value, str) and 0 < len(value) <= NAME_LIMIT


def is_limit(value: object) -> bool:
    """Return whether a value is a valid number of jobs that run at a time.

    >>> is_limit(1), is_limit(0), is_limit(True), is_limit(1.5), is_limit("x")
    (True, False, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_LIMIT


def check_queue(name: object) -> None:
    """Raise `BadQueue` for a name that no queue may have."""
    if not is_name(name):
        raise BadQueue(name, "the name of a queue", NAME)


def check_limit(queue: str, limit: object) -> None:
    """Raise `BadQueue` for a limit that a queue cannot have."""
    if not is_limit(limit):
        raise BadQueue(limit, f"the limit of queue {queue!r}", f"a whole number from 1 to {LARGEST_LIMIT:,}")


_PARTITION: Final = "worker, or a path such as args.customer or args.customer.id"

_A_LITTLE: Final = 0.001  # of a token: times of day have no more than a microsecond, and sums of them are not exact


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`count` jobs may start in each `period_seconds`; after a rest `burst` at once, by default a whole `count`.

    So in any stretch of time at most `burst` jobs start, and one more for each token that comes meanwhile. With a
    `partition` ("worker", or a path into the args such as "args.customer") the limit holds for each of its values.
    """

    count: float
    period_seconds: float = 1.0
    burst: int | None = None
    partition: str | None = None

    def __post_init__(self) -> None:
        """Raises BadLimit."""
        for what, value in (("rate_limit", self.count), ("period_seconds", self.period_seconds)):
            if not is_number(value) or not 0 < value < math.inf:
                raise BadLimit(what, value, "a number above 0")
        if self.burst is not None and not is_limit(self.burst):
            raise BadLimit("burst", self.burst, "a whole number from 1 on; a partition is named: partition='args.sku'")
        check_partition(self.partition)

    @property
    def size(self) -> int:
        """The tokens of a full bucket: at least one."""
        return self.burst if self.burst is not None else max(1, math.floor(self.count))

    @property
    def token_seconds(self) -> float:
        """The time after which the next token comes."""
        return self.period_seconds / self.count

    def tokens(self, full_at: float, now: float) -> int:
        """Return how many jobs may start now, by a bucket that is full at `full_at`; both are seconds of one clock."""
        missing = (self._within(full_at, now) - now) / self.token_seconds
        return max(0, math.floor(self.size - missing + _A_LITTLE))

    def taken(self, full_at: float, now: float, count: int) -> float:
        """Return when the bucket is full again once `count` tokens are taken.

        Store it also for 0 tokens when it is earlier than `full_at`: the clock was set back.
        """
        return self._within(full_at, now) + count * self.token_seconds

    def _within(self, full_at: float, now: float) -> float:
        """Return `full_at` within the times of a full and of an empty bucket: the clock may have been set."""
        return min(max(full_at, now), now + self.size * self.token_seconds)


def check_partition(partition: object) -> None:
    """Raise `BadLimit` for a partition that is no part of a job."""
    if partition is None or partition == "worker":
        return
    if not isinstance(partition, str):
        raise BadLimit("partition", partition, _PARTITION)
    field, *keys = partition.split(".")
    if field not in {"args", "meta"} or not keys or not all(keys) or '"' in partition or "\\" in partition:
        raise BadLimit("partition", partition, _PARTITION)


NO_PARTITION: Final = ""
"""The key of a limit that counts all jobs of a queue together."""

_ENDLESS: Final = sys.maxsize
_SHORTEST_POLL: Final = 0.01  # seconds; at higher rates several jobs start at each poll


@dataclass(frozen=True, slots=True)
class GlobalLimit:
    """At most `count` jobs execute at once, in all OS processes; with a `partition`, of each of its values."""

    count: int
    partition: str | None = None

    def __post_init__(self) -> None:
        """Raises BadLimit."""
        if not is_limit(self.count):
            raise BadLimit("global_limit", self.count, "a whole number from 1 on")
        check_partition(self.partition)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The limits of a queue beyond the slots of one OS process. Both have the same partition, if both have one."""

    global_limit: GlobalLimit | None = None
    rate_limit: RateLimit | None = None

    def __post_init__(self) -> None:
        """Raises BadLimit."""
        partitions = [one.partition for one in self.all if one.partition is not None]
        if len(set(partitions)) > 1:
            raise BadLimit("partition", partitions[1], f"the one of the other limit, {partitions[0]!r}")

    @property
    def all(self) -> "list[GlobalLimit | RateLimit]":
        """The limits that are not None."""
        return [one for one in (self.global_limit, self.rate_limit) if one is not None]

    @property
    def partition(self) -> str | None:
        """The common partition of the limits, or None."""
        return next((one.partition for one in self.all if one.partition is not None), None)

    @property
    def poll_seconds(self) -> float:
        """The time until more jobs may start, after a claim that got too few; endless without a rate."""
        return math.inf if self.rate_limit is None else max(self.rate_limit.token_seconds, _SHORTEST_POLL)


class Capacity:
    """How many more jobs of a queue may start by its limits, while jobs are chosen one by one.

    `running` has the number of executing jobs, and `full_at` the times when buckets are full again (a missing one is
    full), both by partition, or under NO_PARTITION for a limit without one. `now` is in the same seconds.
    """

    def __init__(
        self, limits: QueueLimits, running: Mapping[str, int], full_at: Mapping[str, float], now: float
    ) -> None:
        self._limits = limits.all
        self._rate = limits.rate_limit
        self._running = dict(running)
        self._full_at = full_at
        self._now = now
        self._started: dict[str, int] = {}

    def of(self, partition: str) -> int:
        """Return how many more jobs of a partition may start."""
        return max(0, min([self._left(one, partition) for one in self._limits], default=_ENDLESS))

    def at_most(self, count: int) -> int:
        """Return how many of `count` jobs may start by the limits without a partition."""
        return max(0, min([count, *(self._left(one, NO_PARTITION) for one in self._limits if one.partition is None)]))

    def take(self, partition: str, count: int = 1) -> None:
        """Count jobs of a partition that start."""
        for limit in self._limits:
            counts = self._running if isinstance(limit, GlobalLimit) else self._started
            key = _key(limit, partition)
            counts[key] = counts.get(key, 0) + count

    def changed(self) -> dict[str, float]:
        """Return when the changed buckets are full again."""
        changed: dict[str, float] = {}
        rate = self._rate
        if rate is None:
            return changed
        for key in {*self._started, *self._full_at}:
            before, count = self._full_at.get(key, self._now), self._started.get(key, 0)
            full_at = rate.taken(before, self._now, count)
            if count or full_at < before:
                changed[key] = full_at
        return changed

    def _left(self, limit: GlobalLimit | RateLimit, partition: str) -> int:
        key = _key(limit, partition)
        if isinstance(limit, GlobalLimit):
            return limit.count - self._running.get(key, 0)
        return limit.tokens(self._full_at.get(key, self._now), self._now) - self._started.get(key, 0)


def partition_of(job: Job, partition: str | None) -> str:
    """Return the key of a job's partition; jobs without such a value share the partition of null."""
    if partition is None:
        return NO_PARTITION
    if partition == "worker":
        return partition_key(job.worker)
    field, *keys = partition.split(".")
    found: object = job.args if field == "args" else job.meta
    for key in keys:
        found = cast("dict[str, object]", found).get(key) if isinstance(found, dict) else None
    return partition_key(found)


def partition_key(value: object) -> str:
    """Return the key of a partition, by its value in SQLite.

    There true, 1 and 1.0 are the same, and a list or an object is its text.

    >>> partition_key("eu"), partition_key(1.0), partition_key([1, 2])
    ('"eu"', '1', '"[1,2]"')
    """
    if isinstance(value, dict | list):
        value = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    elif isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    return json.dumps(value, ensure_ascii=False)


def within(capacity: Capacity, candidates: Iterable[tuple[str, int]], count: int) -> list[int]:
    """Choose at most `count` candidates that may start, in their order; each is a partition and an id.

    A candidate of a full partition does not stop later candidates.
    """
    chosen: list[int] = []
    for partition, job_id in candidates:
        if len(chosen) >= count:
            break
        if capacity.of(partition) > 0:
            capacity.take(partition)
            chosen.append(job_id)
    return chosen


def _key(limit: GlobalLimit | RateLimit, partition: str) -> str:
    return NO_PARTITION if limit.partition is None else partition
