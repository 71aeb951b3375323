"""What a stage needs of a database."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from headrace.stages.sql.statements import Insert

Row = Mapping[str, object]
"""A row by the names of its columns."""


class Database(Protocol):
    """One connection. All of it raises `DatabaseFailed`; it connects again at the next call."""

    @property
    def called(self) -> str:
        """What sentences call it, without a password."""

    async def open(self) -> None:
        """Connect."""

    async def write(self, insert: Insert, rows: Sequence[Sequence[object]]) -> dict[int, str]:
        """Write all rows in one transaction, durably; return why some were refused, by their place.

        Where some are, the others are written all the same.
        """

    async def read(self, query: str, values: Row) -> list[dict[str, object]]:
        """Return the rows of a query, whose `:name` are filled in from `values`."""

    async def close(self) -> None:
        """Close. A second time, do nothing."""
