"""Short words for tests of stores: who claims, and how what was claimed ends."""

from headrace.jobs.job import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    Job,
    JobAck,
    JobOutcome,
    JobState,
    NewJob,
)
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import JobStore, LeaseOwner

ME = LeaseOwner("here", "u-1", "default")
OTHER = LeaseOwner("there", "u-2", "default")
ALL = JobFilter()


async def inserted(store: JobStore, *jobs: NewJob) -> list[int]:
    """Insert jobs; return their ids."""
    return [one.id for one in await store.insert(jobs)]


async def ended(store: JobStore, job: Job, outcome: JobOutcome, owner: LeaseOwner = ME) -> Job:
    """Acknowledge an attempt; return the job as it is then."""
    await store.acknowledge(owner, [JobAck(job.id, job.attempt, outcome)])
    return await got(store, job.id)


async def got(store: JobStore, job_id: int) -> Job:
    """Return a job that is there."""
    job = await store.get(job_id)
    assert job is not None
    return job


async def in_state(store: JobStore, state: JobState, job: NewJob | None = None) -> Job:
    """Return a job that has come into a state."""
    new = job or NewJob("build")
    if state in {"suspended", "scheduled"}:
        (job_id,) = await inserted(store, NewJob(new.worker, new.args, state=state, unique=new.unique))
        return await got(store, job_id)
    (job_id,) = await inserted(store, new)
    if state == "available":
        return await got(store, job_id)
    (claimed,) = [one for one in await store.claim(ME, 1000) if one.id == job_id]
    if state == "executing":
        return claimed
    outcomes: dict[JobState, JobOutcome] = {
        "completed": AttemptCompleted(),
        "retryable": AttemptFailed("no luck", 60),
        "discarded": AttemptFailed("no luck", None),
        "cancelled": AttemptCancelled("no longer wanted"),
    }
    return await ended(store, claimed, outcomes[state])
