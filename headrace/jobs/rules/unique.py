"""Unique jobs (pure): the key that duplicates share, and whether the existing job is a conflict."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace.jobs.job import JobState, NewJob, Unique


@dataclass(frozen=True, slots=True)
class ExistingJob:
    """The job that has a key, with the fields that decide whether it is a conflict."""

    id: int
    state: JobState
    inserted_at: datetime
    scheduled_at: datetime
    completed_at: datetime | None = None


def key_of(job: NewJob, unique: Unique) -> str:
    """Return the key that all duplicates of the job share: 32 hexadecimal digits.

    >>> one = NewJob("build", {"sku": 7, "by": "ann"})
    >>> key_of(one, Unique(keys=frozenset({"sku"}))) == key_of(one, Unique(keys=frozenset({"sku"})))
    True
    """
    values: dict[str, object] = {"keys": sorted(unique.keys)}
    if "worker" in unique.fields:
        values["worker"] = job.worker
    if "queue" in unique.fields:
        values["queue"] = job.queue
    if unique.key is not None:
        values["key"] = unique.key
    else:
        if "args" in unique.fields:
            values["args"] = _chosen(job.args, unique)
        if "meta" in unique.fields:
            values["meta"] = _chosen(job.meta, unique)
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def is_conflicting(unique: Unique, existing: ExistingJob, now: datetime) -> bool:
    """Return whether a new job with the same key conflicts with this existing job."""
    if existing.state not in unique.states:
        return False
    if _is_too_old(unique, existing, now):
        return False
    if unique.period_seconds is None:
        return True
    since = existing.inserted_at if unique.timestamp == "inserted_at" else existing.scheduled_at
    return since >= now - timedelta(seconds=unique.period_seconds)


def _is_too_old(unique: Unique, existing: ExistingJob, now: datetime) -> bool:
    if unique.result_seconds is None or existing.state != "completed" or existing.completed_at is None:
        return False
    return existing.completed_at < now - timedelta(seconds=unique.result_seconds)


def _chosen(values: Mapping[str, object], unique: Unique) -> Mapping[str, object]:
    """Return the values to compare; a missing key is different from null."""
    return {key: value for key, value in values.items() if not unique.keys or key in unique.keys}
