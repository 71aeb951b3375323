"""What a failed assertion says: which jobs there are instead, nearest first (pure)."""

from collections.abc import Sequence
from typing import Final

from headrace.jobs.job import INCOMPLETE, Job
from headrace.jobs.testing.wanted import Kept, Wanted

SHOWN: Final = 10
"""Jobs that are shown; of more only the number."""


def missing(wanted: Wanted, enqueued: Sequence[Kept], others: Sequence[Kept]) -> str:
    """Return what to say when nothing fits of what is enqueued; `others` are jobs that are not so any more."""
    lines = [f"no job is enqueued that fits: {wanted}"]
    near = sorted(enqueued, key=lambda kept: _distance(wanted, kept))
    if near:
        lines += [f"{len(near)} {'is' if len(near) == 1 else 'are'} enqueued, nearest first:"]
        lines += [f"{line_of(kept)}: {', '.join(wanted.differences(kept))}" for kept in near[:SHOWN]]
        lines += _more(near)
    else:
        lines += ["nothing is enqueued at all"]
    fitting = [kept for kept in others if not wanted.differences(kept)]
    if fitting:
        lines += ["these would fit, and are not enqueued any more, for they were run, or called off:"]
        lines += [*map(line_of, fitting[:SHOWN]), *_more(fitting)]
    return "\n".join(lines)


def surplus(wanted: Wanted, fitting: Sequence[Kept], count: int = 0) -> str:
    """Return what to say when other jobs fit than `count`."""
    allowed = f"and {count} should" if count else "and none should"
    lines = [f"{len(fitting)} enqueued {'job fits' if len(fitting) == 1 else 'jobs fit'}, {allowed}: {wanted}"]
    return "\n".join([*lines, *map(line_of, fitting[:SHOWN]), *_more(fitting)])


def line_of(kept: Kept) -> str:
    """Return a job on one line; what is secret of it is not shown."""
    job = kept.job
    args = "secret" if kept.is_secret else f"{job.args!r:.300}"
    return f"    job {job.id} {job.worker} in queue {job.queue}, {_standing(job)}, args {args}"


def _standing(job: Job) -> str:
    if job.state in {"scheduled", "retryable"}:
        return f"{job.state} at {job.scheduled_at:%Y-%m-%d %H:%M:%S} UTC"
    if job.errors and job.state not in INCOMPLETE:
        return f"{job.state} ({job.errors[-1].error.splitlines()[-1]:.200})"
    return job.state


def _distance(wanted: Wanted, kept: Kept) -> tuple[bool, int, int]:
    """Return how far a job is from what is wanted: another worker's is farther than any of the right one."""
    is_other = wanted.worker is not None and kept.job.worker != wanted.worker
    return (is_other, len(wanted.differences(kept)), -kept.job.id)


def _more(jobs: Sequence[Kept]) -> list[str]:
    return [f"    and {len(jobs) - SHOWN} more"] if len(jobs) > SHOWN else []
