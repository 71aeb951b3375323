"""Dead letters: stores events that failed for good, and replays them.

The names below are public; each is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.dead_letters.dead_letter import DeadLetter, NewDeadLetter
    from headrace.dead_letters.service import DeadLetterService
    from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
    from headrace.dead_letters.store import DeadLetterFilter, DeadLetterLimits, DeadLetterStore

__all__ = [
    "DeadLetter",
    "DeadLetterFilter",
    "DeadLetterLimits",
    "DeadLetterService",
    "DeadLetterStore",
    "NewDeadLetter",
    "SqliteDeadLetterStore",
]

_MODULES = {
    "DeadLetter": "dead_letter",
    "DeadLetterFilter": "store",
    "DeadLetterLimits": "store",
    "DeadLetterService": "service",
    "DeadLetterStore": "store",
    "NewDeadLetter": "dead_letter",
    "SqliteDeadLetterStore": "sqlite_store",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"headrace.dead_letters has no {name!r}; it has: {', '.join(__all__)}")  # noqa: TRY003 - Python's own
    found: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
