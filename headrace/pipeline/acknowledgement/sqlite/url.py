"""The store of dead letters by its URL."""

from typing import Final

from headrace.pipeline.acknowledgement.letter_bounds import LetterBounds
from headrace.pipeline.acknowledgement.sqlite.location import path_of
from headrace.pipeline.acknowledgement.sqlite.store import SqliteDeadLetters

_ANY_BOUNDS: Final = LetterBounds()


def dead_letters_of(url: str, bounds: LetterBounds = _ANY_BOUNDS) -> SqliteDeadLetters:
    """Return a store in the file that the URL names, not open yet. Raises BadDeadLetters."""
    return SqliteDeadLetters(path_of(url), bounds)
