"""What an error comes to for people: one sentence, and a traceback only where the fault is our own."""

import asyncio
import sysconfig
import traceback
from pathlib import Path
from types import FrameType
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
    """Whether an error arose in headrace's own code, with nobody else's on the way: then its traceback is of use."""
    if isinstance(error, _SENTENCES) or error.__traceback__ is None:
        return False
    return _place(error) is None


def full_text(error: BaseException) -> str:
    """Return the whole traceback."""
    return "".join(traceback.format_exception(error)).rstrip()


def _place(error: BaseException) -> str | None:
    """Return file, line and function of the innermost frame that is neither ours nor Python's."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if _is_users(frame):
            return f"{frame.f_code.co_filename}, line {line}, in {frame.f_code.co_name}"
    return None


def _is_users(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    if name.startswith((_OURS, "<")):
        return False
    return name.startswith(_INSTALLED) or not name.startswith(_PYTHONS)
