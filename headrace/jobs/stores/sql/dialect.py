"""`Session` and `Dialect`: what differs between SQL databases, so that `SqlStore` can hold all method bodies once.

A body is a coroutine function that gets a session and awaits nothing but its methods. The session of a thread that owns
a sync connection never suspends, so `finish` runs the body to its end; an async driver awaits the same body.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, TypeAlias, TypeVar

from headrace.jobs.job import Inserted, Job, NewJob
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import LeaseOwner

Row: TypeAlias = tuple[Any, ...]  # the statement decides the types, and no driver knows them
R = TypeVar("R")


class Session(Protocol):
    """A transaction that has begun. A body awaits this and nothing else.

    The values of a statement are text, numbers, None, aware times, and lists of texts or numbers; the session encodes
    times and lists for its database. JSON objects are passed as text.
    """

    async def rows(self, text: str, *values: object) -> list[Row]:
        """Run a statement; return its rows."""

    async def change(self, text: str, *values: object) -> int:
        """Run a statement; return how many rows it changed."""


S = TypeVar("S", bound=Session)
S_contra = TypeVar("S_contra", bound=Session, contravariant=True)

Body = Callable[[S_contra], Coroutine[object, object, R]]
"""One transaction. It may run twice: its effects beside the database must bear that.

A plain insert is a `partial` of `Dialect.insert`, and an acknowledgement one of `acknowledge`: a dialect that groups
bodies into one transaction can recognise those, and run a group of them by one statement.
"""


class Dialect(Protocol[S]):
    """One SQL database: its connections, its texts, and the bodies that differ in more than text."""

    def run(
        self, body: Body[S, R], *, is_durable: bool = True, unwanted: Callable[[R], None] | None = None
    ) -> Coroutine[object, object, R]:
        """Run a body in a transaction that writes, and return its result once that is committed.

        On cancellation it may run all the same, as a whole or not at all; if it does, `unwanted` gets its result.
        """

    def run_sync(self, body: Body[S, R], *, is_durable: bool = True) -> R:
        """Thread-safe version of `run` that blocks."""

    def post(self, body: Body[S, object]) -> None:
        """Run a body in a transaction that writes, without waiting for it."""

    def read(self, body: Body[S, R]) -> Coroutine[object, object, R]:
        """Run a body that only reads."""

    def read_sync(self, body: Body[S, R]) -> R:
        """Thread-safe version of `read` that blocks."""

    def in_transaction(self, connection: object, worker: str) -> AbstractContextManager[S]:
        """Return a session in the transaction of a user's own connection, which the user commits.

        It can be finished: see `finish`. Raises `BadTransaction`, which names the worker.
        """

    def query(self, name: str) -> str:
        """Return the text of a query."""

    async def condition(self, session: S, which: JobFilter, *, has_limit: bool) -> tuple[str, Sequence[object]]:
        """Return the condition of a filter and its values; with a limit only some of the matching jobs are read."""

    def job(self, row: Row) -> Job:
        """Return the job of a row with the columns of `COLUMNS`."""

    def time(self, value: object) -> datetime:
        """Return the time in a column of a row."""

    def rows(self, jobs: Sequence[NewJob], now: datetime) -> list[Row]:
        """Return the values of `INSERT_COLUMNS` for each job. Raises NotJson."""

    async def insert(self, session: S, rows: Sequence[Row]) -> list[Inserted]:
        """Insert rows that are no duplicates."""

    def insert_alike(self, jobs: Sequence[NewJob], now: datetime) -> Body[S, list[Inserted]] | None:
        """Return a body that inserts jobs that differ in their args alone, by one statement; None for bad args."""

    async def claim(self, session: S, owner: LeaseOwner, count: int, now: datetime) -> list[Job]:
        """Claim at most `count` jobs, most urgent and oldest first."""

    async def lock(self, session: S, name: str) -> None:
        """Keep other transactions that lock this name waiting until this one ends."""

    async def lock_unique(self, session: S, keys: Sequence[str]) -> None:
        """Keep other transactions that lock one of these unique keys waiting until this one ends."""

    before_partitions: object
    """A value before those of all partitions, for `limit_next`."""

    def partition_value(self, value: object) -> object:
        """Return the value of a partition in a column of a row."""

    def partition(self, queue: str, path: str) -> Mapping[str, str]:
        """Return the texts that stand in the braces of queries about one partitioned queue."""


def finish(body: Coroutine[object, object, R]) -> R:
    """Run a body to its end in this thread: the session of a sync driver never suspends.

    >>> async def body() -> int:
    ...     return 5
    >>> finish(body())
    5
    """
    try:
        body.send(None)
    except StopIteration as end:
        result: R = end.value
        return result
    body.close()
    raise RuntimeError("a body of a store awaits its session only")  # noqa: TRY003 - an error of ours


COLUMNS = (
    "id, state, queue, worker, args, meta, tags, errors, attempt, max_attempts, priority, "
    "inserted_at, scheduled_at, attempted_at, attempted_by, cancelled_at, completed_at, discarded_at"
)
"""The columns of a job, in the order in which `Dialect.job` reads them."""

INSERT_COLUMNS = (
    "state",
    "queue",
    "worker",
    "args",
    "meta",
    "tags",
    "max_attempts",
    "priority",
    "inserted_at",
    "scheduled_at",
)
"""The columns that an insert fills, in the order of `Dialect.rows`; args and meta are JSON text."""
