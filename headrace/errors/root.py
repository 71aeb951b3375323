"""`HeadraceError`, `describe`, and the line of user code an error comes from."""

import sysconfig
import traceback
from pathlib import Path
from typing import Final


class HeadraceError(Exception):
    """The root of all errors. Its message is one sentence: the problem, its place, and the remedy."""


def message_of(error: object) -> str:
    """Return an error's message; an empty text when its `__str__` raises."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a bug in the `__str__` of a user's error must not hide that error
        return ""


def class_and_message(error: BaseException) -> str:
    """Return an error's class and message; the class alone without a message, or when `__str__` raises.

    >>> class_and_message(KeyError("total")), class_and_message(TimeoutError())
    ("KeyError: 'total'", 'TimeoutError')
    """
    message = message_of(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def short_repr(value: object, limit: int = 200) -> str:
    """Return at most `limit` characters of an object's repr; the name of its class when `__repr__` raises."""
    try:
        return repr(value)[:limit]
    except Exception as error:  # noqa: BLE001 - as above
        return f"<{type(value).__name__}, whose __repr__ raised {type(error).__name__}>"


def describe(reason: object) -> str:
    """Return an exit reason in words.

    >>> describe("shutdown"), describe(KeyError("total")), describe(TimeoutError())
    ('it was stopped', "KeyError: 'total'", 'TimeoutError')
    """
    if not isinstance(reason, BaseException):
        return {"normal": "it was done", "shutdown": "it was stopped"}.get(str(reason), str(reason))
    message = message_of(reason) if isinstance(reason, HeadraceError | OSError) else ""
    return message or class_and_message(reason)


_OURS: Final = f"{Path(__file__).parents[1]}/"
_PYTHONS: Final = f"{sysconfig.get_path('stdlib')}/"
_INSTALLED: Final = f"{sysconfig.get_path('purelib')}/"


def origin(error: BaseException) -> str | None:
    """Return file, line and function of the innermost frame of user code: its file is not in an installed package."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = frame.f_code.co_filename
        if not (name.startswith((_OURS, _INSTALLED)) or _is_pythons(name)):
            return f"{name}, line {line}, in {frame.f_code.co_name}"
    return None


def is_ours(error: BaseException) -> bool:
    """Return whether an error arose in headrace's own code."""
    names = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((name for name in reversed(names) if not _is_pythons(name)), "").startswith(_OURS)


def _is_pythons(name: str) -> bool:
    return name.startswith("<") or (name.startswith(_PYTHONS) and not name.startswith(_INSTALLED))
