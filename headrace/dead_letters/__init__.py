"""Dead letters: stores events that failed for good, and replays them.

Each name is loaded on first use.
"""

from typing import TYPE_CHECKING

from headrace.lazy import lazy_names

if TYPE_CHECKING:
    from headrace.dead_letters.dead_letter import DeadLetter, EventForm, NewDeadLetter
    from headrace.dead_letters.service import DeadLetterService
    from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
    from headrace.dead_letters.store import DeadLetterFilter, DeadLetterLimits, DeadLetterStore

__all__ = [
    "DeadLetter",
    "DeadLetterFilter",
    "DeadLetterLimits",
    "DeadLetterService",
    "DeadLetterStore",
    "EventForm",
    "NewDeadLetter",
    "SqliteDeadLetterStore",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "DeadLetter": "dead_letters.dead_letter",
        "DeadLetterFilter": "dead_letters.store",
        "DeadLetterLimits": "dead_letters.store",
        "DeadLetterService": "dead_letters.service",
        "DeadLetterStore": "dead_letters.store",
        "EventForm": "dead_letters.dead_letter",
        "NewDeadLetter": "dead_letters.dead_letter",
        "SqliteDeadLetterStore": "dead_letters.sqlite_store",
    },
)
