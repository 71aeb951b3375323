"""Every kind of job store, by a short name; the same laws hold of all."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore
from tests.fakes.async_sql_store import AsyncSqlStore

STORE_KINDS: Final[dict[str, Callable[[Path, Callable[[], datetime]], JobStore]]] = {
    "memory": lambda _, clock: MemoryStore(now=clock),
    "sqlite": lambda path, clock: SqliteStore(path, now=clock),
    "async": lambda path, clock: AsyncSqlStore(path, now=clock),
}
"""Functions that make a store, not open yet, of a file and a clock."""
