"""Jobs as a store would hand them out, for tests that need no store."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from headrace.jobs.job import Job

NOON: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)

_PLAIN: Final = Job(
    id=7,
    state="executing",
    queue="default",
    worker="shop.build",
    args={},
    meta={},
    tags=[],
    errors=[],
    attempt=1,
    max_attempts=20,
    priority=0,
    inserted_at=NOON,
    scheduled_at=NOON,
    attempted_at=NOON,
    attempted_by=["node", "uuid"],
)


def a_job(worker: str = "shop.build", *, attempt: int = 1, max_attempts: int = 20, **args: object) -> Job:
    """Return an executing job, with these args."""
    job = replace(_PLAIN, worker=worker, attempt=attempt, max_attempts=max_attempts)
    job.args, job.meta, job.tags, job.errors, job.attempted_by = dict(args), {}, [], [], ["node", "uuid"]
    return job
