"""The `Database` protocol, its errors, and insert statements."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from headrace.errors import HeadraceError, StageError


class BadDatabase(HeadraceError):
    """The database of a config is not possible; `why` is a sentence without a password."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class DatabaseFailed(StageError):
    """A database cannot be reached or used now; nothing was changed."""

    def __init__(self, database: str, why: str, advice: str) -> None:
        self.database = database
        super().__init__(f"the database {database} cannot be used ({why}): {advice}")


class DatabaseUnreachable(DatabaseFailed):
    """A database does not answer, or is starting: a later attempt may succeed."""

    def __init__(self, database: str, why: str) -> None:
        super().__init__(database, why, "see that it runs and can be reached")


class RowRefused(StageError):
    """The database refuses one row."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the database refuses the row: {why}")


OnConflict = Literal["fail", "ignore", "update"]
"""What to do with a row whose key exists."""

_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", re.ASCII)
_PARAMETER: Final = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


def is_name(text: str) -> bool:
    """Tell whether a name is valid for a table or column: alphanumeric characters and _, with or without a schema."""
    return _NAME.fullmatch(text) is not None


def quoted(name: str) -> str:
    """Return a name quoted for SQL.

    >>> quoted("shop.orders")
    '"shop"."orders"'
    """
    return ".".join(f'"{part}"' for part in name.split("."))


@dataclass(frozen=True, slots=True)
class Insert:
    """A table and the columns to insert into it."""

    table: str
    columns: tuple[str, ...]
    on_conflict: OnConflict = "fail"
    key: tuple[str, ...] = ()

    def text(self, placeholder: str) -> str:
        """Return the statement, with `placeholder` for each value.

        >>> Insert("t", ("a", "b"), "update", ("a",)).text("?")
        'insert into "t" ("a", "b") values (?, ?) on conflict ("a") do update set "b" = excluded."b"'
        """
        names = ", ".join(map(quoted, self.columns))
        text = f"insert into {quoted(self.table)} ({names}) values ({', '.join([placeholder] * len(self.columns))})"  # noqa: S608 - it is quoted
        if self.on_conflict == "fail":
            return text
        target = f" ({', '.join(map(quoted, self.key))})" if self.key else ""
        changed = [column for column in self.columns if column not in self.key]
        if self.on_conflict == "ignore" or not changed:
            return f"{text} on conflict{target} do nothing"
        changes = ", ".join(f"{quoted(column)} = excluded.{quoted(column)}" for column in changed)
        return f"{text} on conflict{target} do update set {changes}"


def parameters(query: str, placeholder: Callable[[str], str]) -> tuple[str, list[str]]:
    """Return a query with each `:name` outside quotes replaced, and the names in order.

    >>> parameters("select ':no', a::text from t where id > :after", lambda name: f"%({name})s")
    ("select ':no', a::text from t where id > %(after)s", ['after'])
    """
    names: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        name = found.group(1)
        if name is None:
            return found.group(0)
        names.append(name)
        return placeholder(name)

    return _PARAMETER.sub(replaced, query), names


SqlRow = Mapping[str, object]
"""A row by column names."""


class Database(Protocol):
    """A database. All methods raise `DatabaseFailed`; the next call connects again."""

    @property
    def called(self) -> str:
        """The name of the database in messages, without a password."""

    async def open(self) -> None:
        """Connect."""

    async def write(self, insert: Insert, rows: Sequence[Sequence[object]]) -> dict[int, str]:
        """Write all rows in one transaction, durably; return the reasons of refused rows, by position.

        The other rows are written all the same.
        """

    async def read(self, query: str, values: SqlRow) -> list[dict[str, object]]:
        """Return the rows of a query; `values` has the values of its `:name`."""

    async def close(self) -> None:
        """Close; a second call does nothing."""
