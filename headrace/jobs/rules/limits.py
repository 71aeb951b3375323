"""Queue limits, rate limits, queue names."""

import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from headrace.jobs.errors import BadLimit, BadQueue
from headrace.jobs.job import Job

NAME_LIMIT: Final = 127
"""Characters of a worker's or a queue's name (Oban's check)."""

LARGEST_LIMIT: Final = 2**31 - 1
"""More than any process can run at a time, and what every store can keep as a number."""

NAME: Final = f"text of 1 to {NAME_LIMIT} characters"


def is_name(value: object) -> bool:
    """Return whether a worker or a queue may be called so.

    >>> is_name("mail"), is_name(""), is_name(5)
    (True, False, False)
    """
    return isinstance(value, str) and 0 < len(value) <= NAME_LIMIT


def is_limit(value: object) -> bool:
    """Return whether so many jobs of a queue may run at a time.

    >>> is_limit(1), is_limit(0), is_limit(True), is_limit(1.5), is_limit("x")
    (True, False, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_LIMIT


def check_queue(name: object) -> None:
    """Raise `BadQueue` for what no queue may be called."""
    if not is_name(name):
        raise BadQueue(name, "the name of a queue", NAME)


def check_limit(queue: str, limit: object) -> None:
    """Raise `BadQueue` unless so many jobs of a queue may run at a time."""
    if not is_limit(limit):
        raise BadQueue(limit, f"the limit of queue {queue!r}", f"a whole number from 1 to {LARGEST_LIMIT:,}")


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


NO_PARTITION: Final = ""
"""The key of what counts for all jobs of a queue together."""

_ENDLESS: Final = sys.maxsize
_SHORTEST_POLL: Final = 0.01  # seconds; at higher rates more than one may start each time


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
    """The limits of a queue beyond the slots of one process. If both are partitioned, then by the same."""

    global_limit: GlobalLimit | None = None
    rate_limit: RateLimit | None = None

    def __post_init__(self) -> None:
        """Raises BadLimit."""
        partitions = self._partitions()
        if len(partitions) > 1:
            raise BadLimit("partition", partitions[1], f"the one of the other limit, {partitions[0]!r}")

    @property
    def partition(self) -> str | None:
        """What they are partitioned by, if any is."""
        return next(iter(self._partitions()), None)

    @property
    def poll_seconds(self) -> float:
        """How long it takes until more may start, where a claim got less than it wanted; endless without a rate."""
        return math.inf if self.rate_limit is None else max(self.rate_limit.token_seconds, _SHORTEST_POLL)

    def _partitions(self) -> list[str]:
        limits = (self.global_limit, self.rate_limit)
        return list(dict.fromkeys(one.partition for one in limits if one is not None and one.partition is not None))


class Capacity:
    """What the limits of a queue leave, while jobs are chosen one by one.

    `running` says how many jobs execute, and `full_at` when buckets are full again (one that is missing is full), both
    by the partition, or by NO_PARTITION for a limit that has none. `now` is in the same seconds.
    """

    def __init__(
        self, limits: QueueLimits, running: Mapping[str, int], full_at: Mapping[str, float], now: float
    ) -> None:
        self._limits = limits
        self._running = dict(running)
        self._full_at = full_at
        self._now = now
        self._started: dict[str, int] = {}

    def of(self, partition: str) -> int:
        """Return how many more jobs of a partition may start."""
        rooms = []
        if (at_once := self._limits.global_limit) is not None:
            rooms.append(at_once.count - self._running.get(_key(at_once, partition), 0))
        if (rate := self._limits.rate_limit) is not None:
            rooms.append(self._tokens(rate, _key(rate, partition)))
        return max(0, min(rooms, default=_ENDLESS))

    def at_most(self, count: int) -> int:
        """Return how many of `count` jobs may start, as far as limits without a partition are asked."""
        at_once, rate = self._limits.global_limit, self._limits.rate_limit
        if at_once is not None and at_once.partition is None:
            count = min(count, at_once.count - self._running.get(NO_PARTITION, 0))
        if rate is not None and rate.partition is None:
            count = min(count, self._tokens(rate, NO_PARTITION))
        return max(0, count)

    def take(self, partition: str, count: int = 1) -> None:
        """Let so many jobs of a partition start."""
        if (at_once := self._limits.global_limit) is not None:
            key = _key(at_once, partition)
            self._running[key] = self._running.get(key, 0) + count
        if (rate := self._limits.rate_limit) is not None:
            key = _key(rate, partition)
            self._started[key] = self._started.get(key, 0) + count

    def changed(self) -> dict[str, float]:
        """Return when the buckets are full again that are not as they were."""
        changed: dict[str, float] = {}
        rate = self._limits.rate_limit
        if rate is None:
            return changed
        for key in {*self._started, *self._full_at}:
            before, count = self._full_at.get(key, self._now), self._started.get(key, 0)
            full_at = rate.taken(before, self._now, count)
            if count or full_at < before:
                changed[key] = full_at
        return changed

    def _tokens(self, rate: RateLimit, key: str) -> int:
        return rate.tokens(self._full_at.get(key, self._now), self._now) - self._started.get(key, 0)


def partition_of(job: Job, partition: str | None) -> str:
    """Return the key of the partition that a job is in; what is not there is in one partition with null."""
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
    """Return the key of a partition, by its value as SQLite has it.

    It tells neither true from 1 nor 1 from 1.0, and of a list or an object it has the text.

    >>> partition_key("eu"), partition_key(1.0), partition_key([1, 2])
    ('"eu"', '1', '"[1,2]"')
    """
    if isinstance(value, dict | list):
        value = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    elif isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    return json.dumps(value, ensure_ascii=False)


def within(room: Capacity, candidates: Iterable[tuple[str, int]], count: int) -> list[int]:
    """Choose at most `count` of what may start, in the order of the candidates: the partition and the id of each.

    One whose partition has no room keeps no later one out.
    """
    chosen: list[int] = []
    for partition, job_id in candidates:
        if len(chosen) >= count:
            break
        if room.of(partition) > 0:
            room.take(partition)
            chosen.append(job_id)
    return chosen


def _key(limit: GlobalLimit | RateLimit, partition: str) -> str:
    return NO_PARTITION if limit.partition is None else partition
