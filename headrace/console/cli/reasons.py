"""What an error comes to for people: one sentence, and a traceback only where the fault is our own."""

import asyncio
import sysconfig
import traceback
from pathlib import Path
from typing import Final

import headrace
from headrace.ground.errors import HeadraceError

_OURS: Final = f"{Path(headrace.__file__).parent}/"
_PYTHONS: Final = f"{sysconfig.get_path('stdlib')}/"
_INSTALLED: Final = f"{sysconfig.get_path('purelib')}/"

_SENTENCES: Final = (HeadraceError, OSError, asyncio.CancelledError)
"""Errors that say what happened outside of any code."""


def sentence(error: BaseException) -> str:
    """Return an error's class and text, and the line of the user's code in which it arose, if it did there."""
    said = str(error) if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}".rstrip(": ")
    place = _place(error)
    return said if place is None else f"{said} ({place})"


def is_our_fault(error: BaseException) -> bool:
    """Whether an error arose in headrace's own code, and no user's code had a part in it: its traceback is of use."""
    if isinstance(error, _SENTENCES) or _place(error) is not None:
        return False
    names = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    innermost = next((name for name in reversed(names) if not _is_pythons(name)), "")
    return innermost.startswith(_OURS)


def full_text(error: BaseException) -> str:
    """Return the whole traceback."""
    return "".join(traceback.format_exception(error)).rstrip()


def _place(error: BaseException) -> str | None:
    """Return file, line and function of the innermost frame that nobody has installed: it is the user's."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = frame.f_code.co_filename
        if not (name.startswith((_OURS, _INSTALLED)) or _is_pythons(name)):
            return f"{name}, line {line}, in {frame.f_code.co_name}"
    return None


def _is_pythons(name: str) -> bool:
    return name.startswith("<") or (name.startswith(_PYTHONS) and not name.startswith(_INSTALLED))
