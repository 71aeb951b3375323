"""What a queue may have running, and may start, over all OS processes (pure): limits, and the room they leave."""

import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from headrace.jobs.errors import BadLimit
from headrace.jobs.job import Job
from headrace.jobs.rules.queue_rules import is_limit
from headrace.jobs.rules.rate import RateLimit, check_partition

NO_PARTITION: Final = ""
"""The key of what counts for all jobs of a queue together."""

_ENDLESS: Final = sys.maxsize
_SHORTEST_LOOK: Final = 0.01  # seconds; at higher rates more than one may start each time


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
    def look_seconds(self) -> float:
        """How long it takes until more may start, where a claim got less than it wanted; endless without a rate."""
        return math.inf if self.rate_limit is None else max(self.rate_limit.token_seconds, _SHORTEST_LOOK)

    def _partitions(self) -> list[str]:
        limits = (self.global_limit, self.rate_limit)
        return list(dict.fromkeys(one.partition for one in limits if one is not None and one.partition is not None))


class Room:
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


def within(room: Room, candidates: Iterable[tuple[str, int]], count: int) -> list[int]:
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
