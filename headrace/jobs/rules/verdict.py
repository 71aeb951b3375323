"""What becomes of jobs that are held back (pure): which are let go of, and which are called off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from headrace.jobs.job import DOUBLES, Job


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ids of jobs that may run now, and of those that never will."""

    release: Sequence[int] = field(default_factory=list)
    cancel: Sequence[int] = field(default_factory=list)


def doubles_of(job: Job) -> dict[str, int]:
    """Return the ids of what a job awaits that was there before it, by their labels."""
    found = job.meta.get(DOUBLES)
    if not isinstance(found, dict):
        return {}
    return {label: job_id for label, job_id in cast("Mapping[str, object]", found).items() if isinstance(job_id, int)}
