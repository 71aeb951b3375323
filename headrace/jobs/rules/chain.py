"""Chains: jobs of one key run one after the other, in the order in which they were inserted."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.jobs.job import NewJob


def chain_id_of(name: str, args: Mapping[str, object], keys: Sequence[str]) -> str:
    """Return what all jobs of a chain have in common: 32 hexadecimal digits.

    >>> keys = ["customer"]
    >>> chain_id_of("bill", {"customer": 7, "sum": 1}, keys) == chain_id_of("bill", {"customer": 7}, keys)
    True
    """
    values = [name, {key: args[key] for key in keys if key in args}]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def chained(job: NewJob, keys: Sequence[str] = (), name: str | None = None) -> NewJob:
    """Return the job as one of a chain: of those of that name, its worker's unless given, with equal `keys` of args.

    It is held back until those before it have ended, well or not; one that waits to be tried again holds up the rest.
    """
    chain_id = chain_id_of(name or job.worker, job.args, keys)
    return replace(job, meta={**job.meta, "chain_id": chain_id}, state="suspended")
