"""`JobStore`: what every store of jobs does; and stores by URL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from typing import Final, Literal, Protocol, cast

from headrace.database.urls import NUL, has_nul
from headrace.errors import describe
from headrace.jobs.errors import BadJobs, BadStore
from headrace.jobs.job import Inserted, Job, JobAck, JobState, MetaChange, NewJob
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import QueueLimits

CHANGE_BATCH: Final = 500
"""Jobs that one transaction changes or deletes at most, so that a claim never waits for long."""

HEARTBEAT_SECONDS: Final = 3.0
"""How often a lease owner writes its heartbeat."""

MISSED_HEARTBEATS: Final = 5
"""After so many heartbeats of ours without one of its own a lease owner is dead: 15 s. Clocks are never compared.

A store that sees at once that an OS process is dead waits for no heartbeats."""

CRASH_LIMIT: Final = 3
"""How often a job may be running while its OS process dies, before it is set aside."""

CRASH_REASON: Final = f"crashed the process {CRASH_LIMIT} times"

EXHAUSTED_REASON: Final = "it was available without an attempt left: attempt is not below max_attempts"


@dataclass(frozen=True, slots=True)
class LeaseOwner:
    """The queue of one OS process that holds jobs. `uuid` is new at each start, so a name used again is no danger.

    `workers` are the names it can run; jobs of others are left alone. None is all. `limits` are those of the queue over
    all OS processes; each lease owner hands them in, so let all of a queue have the same.
    """

    node: str
    uuid: str
    queue: str
    workers: tuple[str, ...] | None = None
    limits: QueueLimits | None = None


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs of a queue are in a state."""

    queue: str
    state: JobState
    count: int


@dataclass(frozen=True, slots=True)
class Rescued:
    """A job that ran while its OS process died: `available` again, or set aside after too many of these."""

    id: int
    queue: str
    state: Literal["available", "discarded"]


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """What was said about a queue while it ran: its limit (None is what the config says), and whether it is paused."""

    queue: str
    limit: int | None = None
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class PruneRule:
    """What is deleted of the jobs that ended in `state`.

    It is what ended before `ended_before`, and all but the `keep` newest; None is no such bound.
    """

    state: Literal["completed", "cancelled", "discarded"]
    ended_before: datetime | None = None
    keep: int | None = None


class JobStore(Protocol):
    """Keeps jobs.

    Every method is one transaction, but where it says otherwise: it happened as a whole when it returns, or not at all.
    On cancellation it may happen all the same. Each raises a HeadraceError when the store cannot be used.
    """

    change_seconds: float | None
    """How often `has_changed` is worth asking; None where no other OS process can change anything."""

    inserted: Callable[[str], None]
    """Called with the queue when jobs that may run at once came into it through this store; in the inserting thread."""

    async def open(self) -> None:
        """Make the tables if there are none."""

    async def close(self) -> None:
        """Write what was accepted, and let go of the file or the connection."""

    def close_sync(self) -> None:
        """Do what `close` does from any thread, and wait."""

    # Enqueueing

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Insert jobs, but no duplicates of unique ones; return a result for each, in order. Durable at return."""

    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Do the same from any thread, and wait."""

    async def insert_once(self, name: str, at: datetime, job: NewJob) -> Inserted | None:
        """Insert a job of the crontab, unless the last run of `name` is `at` or later: then return None."""

    async def record_run(self, name: str, at: datetime) -> None:
        """Record a last run, unless a later one is recorded: where an entry of the crontab begins."""

    async def set_last_run_back(self, name: str, seen: datetime, at: datetime) -> bool:
        """Set a last run from `seen` to `at`; return whether it was `seen`: the clock was set back."""

    async def last_runs(self) -> Mapping[str, datetime]:
        """Return the last run of each entry of the crontab."""

    # Running

    async def claim(self, owner: LeaseOwner, count: int) -> list[Job]:
        """Take at most `count` available jobs of the lease owner's queue, most urgent and oldest first; they execute.

        With limits it takes what they let start: a partition without room keeps no later one out.
        From then on the store says for the lease owner, from a thread of its own, that it lives, until it leaves.
        """

    async def acknowledge(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        """Write how attempts ended.

        An attempt that the lease owner no longer holds is ignored: its job was cancelled, deleted or rescued.
        A cancelled job takes the error of its `CalledOff` all the same. Not durable at return: after a power cut a job
        that ended in the last moments may run again.
        """

    def acknowledge_sync(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        """Do what `acknowledge` does from any thread, and wait."""

    async def merge(self, changes: Sequence[MetaChange]) -> None:
        """Merge into the meta of jobs that run; what concerns an attempt that is no longer whose it was is ignored."""

    async def lost(self, owner: LeaseOwner, job_ids: Sequence[int]) -> list[int]:
        """Return which of these are no longer the lease owner's: cancelled, deleted or rescued while they ran."""

    async def begin_stop(self, owner: LeaseOwner) -> None:
        """Say that the lease owner was asked to stop: if it dies from now on, its jobs have not crashed it."""

    async def leave(self, owner: LeaseOwner) -> None:
        """Say no longer that the lease owner lives. What it has not acknowledged is rescued in time."""

    # Looking

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""

    async def conflict_of(self, job: NewJob) -> Job | None:
        """Return the job that came in last among those that have what makes `job` unique, in whatever state it is."""

    def conflict_of_sync(self, job: NewJob) -> Job | None:
        """Do the same from any thread, and wait."""

    async def find(self, which: JobFilter, limit: int, *, is_newest_first: bool = True) -> list[Job]:
        """Return at most `limit` jobs that fit, by id."""

    async def count(self, which: JobFilter) -> int:
        """Return how many jobs fit."""

    async def has(self, which: JobFilter) -> bool:
        """Return whether any job fits."""

    def has_changed(self) -> bool:
        """Return whether anything may have been committed, by any OS process, since it was asked before."""

    async def available_queues(self) -> list[str]:
        """Return the queues in which jobs are available, quickly."""

    async def counts(self) -> list[JobCount]:
        """Return how many jobs there are, by queue and state; none of 0."""

    # Changing; many are changed in pieces, each in a transaction of its own. All return the ids that were changed.

    async def cancel(self, which: JobFilter) -> list[int]:
        """Call off what has not ended; what executes is cancelled at once, and its lease owner asks for that itself."""

    async def retry(self, which: JobFilter) -> list[int]:
        """Make available what neither is so nor executes, with one more attempt if it has none left."""

    async def run_now(self, which: JobFilter) -> list[int]:
        """Make available what waits for its time."""

    async def release(self, which: JobFilter) -> list[int]:
        """Let go of what is suspended: available, or scheduled when its time is yet to come."""

    async def release_next(self, chain_id: str) -> list[int]:
        """Release the oldest suspended member of a chain unless another one may run; in one step."""

    async def suspend(self, which: JobFilter) -> list[int]:
        """Hold back what does not execute, until it is released; what has ended may run once more."""

    async def delete(self, which: JobFilter) -> list[int]:
        """Delete what does not execute."""

    # Maintenance

    async def stage(self, limit: int) -> set[str]:
        """Make available what is due, at most `limit`; return the queues that have got any."""

    async def due_at(self) -> datetime | None:
        """Return when the first job is due that waits for its time, be it past already; None when none waits."""

    async def heartbeat(self) -> None:
        """Write our heartbeats, and read those of others; the store does so itself, every HEARTBEAT_SECONDS."""

    async def has_orphans(self) -> bool:
        """Return whether an OS process is known to be dead whose jobs were not taken back yet: a cheap question.

        False where only heartbeats can tell.
        """

    async def rescue(self) -> list[Rescued]:
        """Take back what dead lease owners ran. It costs no attempt; what dies CRASH_LIMIT times is discarded.

        A job is never rescued for its age. What no headrace claimed, such as an Elixir node's, is left alone.
        """

    async def discard_exhausted(self, limit: int) -> list[int]:
        """Discard available jobs without an attempt left, at most `limit`; return their ids."""

    async def prune(self, rule: PruneRule, limit: int = CHANGE_BATCH) -> int:
        """Delete what the rule says, at most `limit`; return how many. As many as the limit: there may be more."""

    async def lead(self, name: str, node: str, seconds: float) -> bool:
        """Make `node` the leader for so long, or for so long again, unless another one is; return whether it is."""

    async def resign(self, name: str, node: str) -> None:
        """Let another one lead."""

    async def queue_settings(self) -> list[QueueSettings]:
        """Return what is kept about queues."""

    async def change_queue(self, queue: str, *, limit: int | None = None, is_paused: bool | None = None) -> None:
        """Keep what was said about a queue over restarts; None leaves it as it is."""

    async def forget_queue(self, queue: str) -> None:
        """Go back to what the config says."""


GROUP: Final = "headrace.stores"
"""The entry-point group of stores, ours and guests' alike: the scheme of a URL, and a function that takes the URL.

The function makes a store that is not open yet, and touches neither file nor network; it raises `BadStore`.
"""

MakeStore = Callable[[str], JobStore]


def store_names() -> tuple[str, ...]:
    """Return the schemes that are installed, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def store_of(url: str) -> JobStore:
    """Return the store of a URL such as `sqlite:///var/shop.db` or `memory:`, not open yet. Raises `BadStore`."""
    scheme, colon, _ = url.partition(":")
    if colon and has_nul(url):
        raise BadStore(scheme, NUL)
    found = tuple(entry_points(group=GROUP, name=scheme)) if colon else ()
    if not found:
        known = ", ".join(f"{name}:" for name in store_names())
        raise BadStore(scheme if colon else url, f"is no store: begin with one of {known}")
    try:
        make = cast("MakeStore", found[0].load())
    except Exception as error:
        raise BadStore(scheme, f"is installed, and cannot be loaded: {describe(error)}") from error
    return make(url)


def store_or_of(store: JobStore | str) -> JobStore:
    """Return a store that was handed in by itself or by its URL. Raises `BadStore`, or `BadJobs` for neither."""
    if isinstance(store, str):
        return store_of(store)
    if isinstance(store, type) or not hasattr(store, "claim"):
        raise BadJobs(store, "store", "a store or its URL, as in 'sqlite:///shop.db'")
    return store
