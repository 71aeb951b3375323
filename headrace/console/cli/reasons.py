"""What an error comes to for people: one sentence, and a traceback only where the fault is our own."""

import asyncio
import traceback
from typing import Final

from headrace.errors import HeadraceError, class_and_message, message_of
from headrace.errors.root import is_ours, origin

_SENTENCES: Final = (HeadraceError, OSError, asyncio.CancelledError)
"""Errors that say what happened outside of any code."""


def sentence(error: BaseException) -> str:
    """Return an error's class and text, and the line of the user's code in which it arose, if it did there."""
    said = (message_of(error) if isinstance(error, HeadraceError) else "") or class_and_message(error)
    place = origin(error)
    return said if place is None else f"{said} ({place})"


def is_our_fault(error: BaseException) -> bool:
    """Whether an error arose in headrace's own code, and no user's code had a part in it: its traceback is of use."""
    if isinstance(error, (*_SENTENCES, KeyboardInterrupt, SystemExit)) or origin(error) is not None:
        return False
    return is_ours(error)


def full_text(error: BaseException) -> str:
    """Return the whole traceback."""
    return "".join(traceback.format_exception(error)).rstrip()
