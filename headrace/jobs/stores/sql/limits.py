"""Chooses the jobs that the limits of a queue let start, in the transaction of the claim."""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Final, cast

from headrace.jobs.rules.limits import NO_PARTITION, QueueLimits, Room, partition_key, within
from headrace.jobs.stores.sql.sql_store import query
from headrace.jobs.stores.store import Claimant
from headrace.jobs.stores.transitions import to_json

WALKED: Final = 1000
"""Jobs that are looked at in order, before it is looked for partitions that have room: mostly they are enough."""

PARTITIONS: Final = 1000
"""Partitions that one claim looks at, at most; of more than that each claim goes on where the one before ended."""

_BEFORE_ALL: Final = float("-inf")  # SQLite sorts null before it, and every other value after it

_Value = str | float | None


@dataclass(frozen=True, slots=True)
class _Partitioned:
    """The queries about one queue whose limits are partitioned."""

    queue: str
    partition: str

    def query(self, name: str) -> str:
        """Return a query; an index on an expression is found by the very text of it, so it is put in as such."""
        digest = hashlib.blake2b(f"{self.queue}\n{self.partition}".encode(), digest_size=6).hexdigest()
        text = query(name).replace("{index}", f"headrace_jobs_by_{digest}")
        return text.replace("{partition}", _expression(self.partition)).replace("{queue}", _quoted(self.queue))


class Limited:
    """What one store remembers of queues with limits: which partitions it has looked at last."""

    def __init__(self) -> None:
        self._after: dict[str, _Value] = {}

    def room(self, connection: sqlite3.Connection, queue: str, limits: QueueLimits, now: datetime) -> Room:
        """Return what the limits leave at the beginning of a claim."""
        running: dict[str, int] = {}
        if (at_once := limits.global_limit) is not None:
            text = _Partitioned(queue, at_once.partition).query("limit_running") if at_once.partition else None
            if text is None:
                running[NO_PARTITION] = connection.execute(query("limit_all_running"), (queue,)).fetchone()[0]
            else:
                running = {partition_key(value): count for value, count in connection.execute(text)}
        full_at: dict[str, float] = {}
        if limits.rate_limit is not None:
            full_at = dict(connection.execute(query("limit_buckets"), (queue, now.timestamp())).fetchall())
        return Room(limits, running, full_at, now.timestamp())

    def choose(
        self, connection: sqlite3.Connection, claimant: Claimant, partition: str, room: Room, count: int
    ) -> list[int]:
        """Choose at most `count` jobs, most urgent and oldest first, of those whose partition has room."""
        count = room.at_most(count)
        if count == 0:
            return []
        by = _Partitioned(claimant.queue, partition)
        workers = None if claimant.workers is None else to_json(list(claimant.workers))
        values: dict[str, object] = {"queue": claimant.queue, "workers": workers, "limit": WALKED}
        oldest = connection.execute(by.query("limit_oldest"), values).fetchall()
        chosen = within(room, [(partition_key(value), job_id) for value, job_id in oldest], count)
        if len(chosen) < count and len(oldest) == WALKED:
            values["limit"] = count
            later = self._by_partition(connection, by, values, room)
            taken = set(chosen)
            chosen += within(room, [one for one in later if one[1] not in taken], count - len(chosen))
        return chosen

    def keep(self, connection: sqlite3.Connection, queue: str, room: Room, now: datetime) -> None:
        """Write what was taken out of buckets; forget those that are full again."""
        changed = room.changed()
        if changed:
            connection.execute(query("limit_forget"), (queue, now.timestamp()))
            rows = [(queue, key, full_at) for key, full_at in changed.items()]
            connection.executemany(query("limit_fill"), rows)

    def _by_partition(
        self, connection: sqlite3.Connection, by: _Partitioned, values: dict[str, object], room: Room
    ) -> list[tuple[str, int]]:
        """Return the oldest jobs of each partition that has room, in order.

        The index is made when it is needed for the first time: the other queues pay nothing for it.
        """
        connection.execute(by.query("limit_index"))
        text = by.query("limit_within")
        found: list[tuple[int, str, int, str]] = []
        for value in chain([None], self._in_turn(connection, by)):
            key = partition_key(value)
            if room.of(key) > 0:
                rows = connection.execute(text, {**values, "partition": value})
                found += [(priority, at, job_id, key) for priority, at, job_id in rows]
        return [(key, job_id) for _, _, job_id, key in sorted(found)]

    def _in_turn(self, connection: sqlite3.Connection, by: _Partitioned) -> list[_Value]:
        """Return the partitions to look at: all, or, of very many, those that come next."""
        start = self._after.pop(by.queue, _BEFORE_ALL)
        values = list(
            islice(chain(_after(connection, by, start), _after(connection, by, _BEFORE_ALL, start)), PARTITIONS)
        )
        if len(values) == PARTITIONS:
            self._after[by.queue] = values[-1]
        return values


def _after(connection: sqlite3.Connection, by: _Partitioned, after: _Value, until: _Value = None) -> Iterator[_Value]:
    """Yield one partition after another, each found by a step in the index."""
    text = by.query("limit_next")
    while row := connection.execute(text, {"after": after, "until": until}).fetchone():
        after = cast("_Value", row[0])
        yield after


def _expression(partition: str) -> str:
    if partition == "worker":
        return partition
    column, *keys = partition.split(".")
    path = "$" + "".join(f'."{key}"' for key in keys)
    return f"json_extract({column}, {_quoted(path)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
