"""Where an error arose: the line of the user's code, rather than ours or Python's."""

import sysconfig
import traceback
from pathlib import Path
from typing import Final

_OURS: Final = f"{Path(__file__).parents[1]}/"
_PYTHONS: Final = f"{sysconfig.get_path('stdlib')}/"
_INSTALLED: Final = f"{sysconfig.get_path('purelib')}/"


def origin(error: BaseException) -> str | None:
    """Return file, line and function of the innermost frame that nobody has installed: it is the user's."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = frame.f_code.co_filename
        if not (name.startswith((_OURS, _INSTALLED)) or _is_pythons(name)):
            return f"{name}, line {line}, in {frame.f_code.co_name}"
    return None


def is_ours(error: BaseException) -> bool:
    """Whether an error arose in headrace's own code, called by whomever."""
    names = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((name for name in reversed(names) if not _is_pythons(name)), "").startswith(_OURS)


def _is_pythons(name: str) -> bool:
    return name.startswith("<") or (name.startswith(_PYTHONS) and not name.startswith(_INSTALLED))
