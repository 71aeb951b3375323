"""How jobs change in SQL: cancel, retry, release, discard, prune."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from headrace.jobs.job import (
    JobState,
    to_text,
)
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.sql.sql_store import query
from headrace.jobs.stores.store import (
    EXHAUSTED_REASON,
    PruneRule,
)
from headrace.jobs.stores.transitions import to_json

StoreChange = Literal["cancel", "retry", "run_now", "release", "suspend", "delete"]
"""What may be done to jobs; each is a query of that name."""


ChangedJob = tuple[int, str, JobState]
"""A job's id and queue, and the state it has now."""


def change(
    connection: sqlite3.Connection, what: StoreChange, ids: Sequence[int], which: JobFilter, now: datetime
) -> list[ChangedJob]:
    """Change those of the jobs that are still in a state which fits."""
    states = None if which.states is None else to_json(sorted(which.states))
    values = {"now": to_text(now), "ids": to_json(list(ids)), "states": states}
    changed = connection.execute(query(what), values).fetchall()
    if what == "delete" and changed:
        connection.execute(query("delete_unique"), (to_json([job_id for job_id, _, _ in changed]),))
    return changed


def discard_exhausted(connection: sqlite3.Connection, ids: Sequence[int], now: datetime) -> list[int]:
    """Discard those of the jobs that are still available without an attempt left."""
    values = {"ids": to_json(list(ids)), "now": to_text(now), "reason": EXHAUSTED_REASON}
    return [row[0] for row in connection.execute(query("discard_exhausted"), values)]


def prunable(connection: sqlite3.Connection, rule: PruneRule, limit: int, now: datetime) -> list[int]:
    """Return the ids of what the rule deletes, at most `limit`. It may read for long: let the reader do it."""
    ids: list[int] = []
    values: dict[str, object] = {"now": to_text(now), "state": rule.state, "keep": rule.keep, "limit": limit}
    if rule.ended_before is not None:
        values["before"] = to_text(rule.ended_before)
        ids += [row[0] for row in connection.execute(query(f"prune_{rule.state}"), values)]
    if rule.keep is not None and len(ids) < limit:
        ids += [row[0] for row in connection.execute(query("prune_many"), values)]
    return list(dict.fromkeys(ids))[:limit]


def prune(connection: sqlite3.Connection, rule: PruneRule, ids: Sequence[int]) -> int:
    """Delete those of the jobs that are still in the rule's state, and what they kept unique."""
    text = to_json(list(ids))
    pruned = connection.execute(query("prune"), {"ids": text, "state": rule.state}).fetchall()
    connection.execute(query("delete_unique"), (to_json([row[0] for row in pruned]),))
    return len(pruned)
