"""SQL text for inserts, of names that are quoted: pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

OnConflict = Literal["fail", "ignore", "update"]
"""What becomes of a row whose key is there already."""

_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", re.ASCII)
_PARAMETER: Final = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


def is_name(text: str) -> bool:
    """Tell whether a table or column may be called that: letters, digits and _, with a schema before a dot or not."""
    return _NAME.fullmatch(text) is not None


def quoted(name: str) -> str:
    """Return a name as SQL writes it.

    >>> quoted("shop.orders")
    '"shop"."orders"'
    """
    return ".".join(f'"{part}"' for part in name.split("."))


@dataclass(frozen=True, slots=True)
class Insert:
    """Which rows go where."""

    table: str
    columns: tuple[str, ...]
    on_conflict: OnConflict = "fail"
    key: tuple[str, ...] = ()

    def text(self, place: str) -> str:
        """Return the statement; `place` stands for each value.

        >>> Insert("t", ("a", "b"), "update", ("a",)).text("?")
        'insert into "t" ("a", "b") values (?, ?) on conflict ("a") do update set "b" = excluded."b"'
        """
        names = ", ".join(map(quoted, self.columns))
        text = f"insert into {quoted(self.table)} ({names}) values ({', '.join([place] * len(self.columns))})"  # noqa: S608 - it is quoted
        if self.on_conflict == "fail":
            return text
        target = f" ({', '.join(map(quoted, self.key))})" if self.key else ""
        changed = [column for column in self.columns if column not in self.key]
        if self.on_conflict == "ignore" or not changed:
            return f"{text} on conflict{target} do nothing"
        changes = ", ".join(f"{quoted(column)} = excluded.{quoted(column)}" for column in changed)
        return f"{text} on conflict{target} do update set {changes}"


def parameters(query: str, place: Callable[[str], str]) -> tuple[str, list[str]]:
    """Return a query with its `:name` replaced, and those names in order; what is in quotes is left alone.

    >>> parameters("select ':no', a::text from t where id > :after", lambda name: f"%({name})s")
    ("select ':no', a::text from t where id > %(after)s", ['after'])
    """
    names: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        name = found.group(1)
        if name is None:
            return found.group(0)
        names.append(name)
        return place(name)

    return _PARAMETER.sub(replaced, query), names
