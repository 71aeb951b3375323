"""Every kind of job store, by a short name; the same laws hold of all."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from typing_extensions import override

from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.postgres_store import PostgresStore, RawCursor
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore
from tests.fakes.async_sql_store import AsyncSqlStore
from tests.fakes.postgres_server import new_schema


class LaxPostgresStore(PostgresStore):
    """Its table lacks one check of Oban's, so that a job may be exhausted at once, as in the other stores."""

    @override
    async def open(self, inserted: Callable[[str], None] | None = None) -> None:
        await super().open(inserted)
        await self.writer.run(_drop_check)


def _drop_check(cursor: RawCursor) -> None:
    cursor.execute(b"alter table oban_jobs drop constraint if exists positive_max_attempts", ())


STORE_KINDS: Final[dict[str, Callable[[Path, Callable[[], datetime]], JobStore]]] = {
    "memory": lambda _, clock: MemoryStore(now=clock),
    "sqlite": lambda path, clock: SqliteStore(path, now=clock),
    "postgres": lambda path, clock: LaxPostgresStore(new_schema(path), now=clock),
    "async": lambda path, clock: AsyncSqlStore(path, now=clock),
}
"""Functions that make a store, not open yet, of a file and a clock."""
