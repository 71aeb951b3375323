"""Keeps the table within its bounds: in the writer's thread, in the transaction that would exceed them."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from headrace.pipeline.acknowledgement.dead_letters import CHANGE_BATCH
from headrace.pipeline.acknowledgement.limits import DeadLetterLimits
from headrace.pipeline.acknowledgement.sqlite.queries import query
from headrace.pipeline.acknowledgement.sqlite.rows import ids_text, to_text

DROPPED_AT_ONCE: Final = 5_000
"""Dead letters that one transaction drops for one limit at most; the next one drops the rest."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """How many dead letters were dropped for each limit, and how many are left."""

    age: int
    count: int
    size: int
    dead_letters: int
    size_bytes: int


def trim(connection: sqlite3.Connection, bounds: DeadLetterLimits, now: datetime) -> Trimmed:
    """Delete what is too old, then the oldest ones until the rest is few and small enough."""
    oldest = to_text(now - timedelta(seconds=bounds.max_age_seconds))
    aged = connection.execute(query("expired"), (oldest, DROPPED_AT_ONCE)).rowcount
    dead_letters, size = connection.execute(query("totals")).fetchone()
    counted = sized = 0
    while (dead_letters > bounds.max_events or size > bounds.max_size_bytes) and counted + sized < DROPPED_AT_ONCE:
        dropped: list[int] = []
        for number, its_size in connection.execute(query("oldest"), (CHANGE_BATCH,)):
            if dead_letters > bounds.max_events:
                counted += 1
            elif size > bounds.max_size_bytes:
                sized += 1
            else:
                break
            dropped.append(number)
            dead_letters, size = dead_letters - 1, size - its_size
        if not dropped:
            break
        connection.execute(query("delete"), (ids_text(dropped),))
    return Trimmed(aged, counted, sized, dead_letters, size)
