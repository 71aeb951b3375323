"""The functions of the expression language: how each is written, and what runs for it."""

import operator
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signature:
    """How a function is called; `most` is None where any number of arguments will do."""

    usage: str
    least: int
    most: int | None

    def takes(self, count: int) -> bool:
        """Whether that many arguments are right."""
        return self.least <= count and (self.most is None or count <= self.most)


SIGNATURES = {
    "len": Signature("len(event.name)", 1, 1),
    "lower": Signature("lower(event.name)", 1, 1),
    "upper": Signature("upper(event.name)", 1, 1),
    "strip": Signature('strip(event.name) or strip(event.name, "/")', 1, 2),
    "startswith": Signature('startswith(event.name, "a")', 2, 2),
    "endswith": Signature('endswith(event.name, "z")', 2, 2),
    "contains": Signature('contains(event.tags, "new")', 2, 2),
    "matches": Signature('matches(event.name, "^[a-z]+$")', 2, 2),
    "int": Signature("int(event.count)", 1, 1),
    "float": Signature("float(event.price)", 1, 1),
    "str": Signature("str(event.id)", 1, 1),
    "bool": Signature("bool(event.tags)", 1, 1),
    "abs": Signature("abs(event.change)", 1, 1),
    "min": Signature("min(event.a, event.b)", 1, None),
    "max": Signature("max(event.a, event.b)", 1, None),
    "round": Signature("round(event.price) or round(event.price, 2)", 1, 2),
    "coalesce": Signature('coalesce(event.nick, event.name, "nobody")', 1, None),
    "has": Signature("has(event.user.name)", 1, 1),
    "default": Signature("default(event.count, 0)", 2, 2),
    "get": Signature('get(event.prices, event.sku) or get(event.prices, "a", 0)', 2, 3),
}

# Methods stand here unbound: str.lower(5) is a TypeError, where a call through the object would run whatever it has.
PLAIN_FUNCTIONS: dict[str, Callable[..., object]] = {
    "len": len,
    "lower": str.lower,
    "upper": str.upper,
    "strip": str.strip,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "abs": abs,
    "min": min,
    "max": max,
    "round": round,
}


def _import_time(name: str, *_: object) -> object:
    """Import `time`: the one module that Python itself asks for in the code of an expression, to format a date."""
    if name != "time":
        raise ImportError(name)
    return time


BUILTINS: dict[str, object] = {"__import__": _import_time}
"""The builtins of an expression's code: none that its text can name, for the grammar knows its functions alone."""
