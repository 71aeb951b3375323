"""Standard streams that whoever started us had closed, or whose terminal has gone."""

import os
import stat
import sys
from io import TextIOWrapper
from typing import Final, Literal, TextIO

Mode = Literal["r", "w"]

UNENCODABLE: Final = "backslashreplace"
"""How text is written that has no place in an encoding, such as a file name that is no UTF-8."""

_MODES: Final[dict[str, Mode]] = {"stdin": "r", "stdout": "w", "stderr": "w"}
"""Their names in the order of their descriptors, 0 to 2."""


def reopen_closed() -> None:
    """Put the null device in the place of every standard stream that is closed, as after `2>&-`.

    Nothing can be read there, and what is written is gone: that is what was asked for. Left closed, the stream's
    descriptor would go to the next file or socket that is opened, and a stray message into that.
    """
    for descriptor, (name, mode) in enumerate(_MODES.items()):
        if getattr(sys, name) is None:
            setattr(sys, name, _null(descriptor, mode))


def escape_unencodable() -> None:
    """Have stdout write an escape for a character that its encoding lacks, as stderr does; else printing raises."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors=UNENCODABLE)


def has_terminal() -> bool:
    """Tell whether the OS process has a terminal that can go, whatever its streams are."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def leave_lost_terminal() -> None:
    """Put the null device in the place of standard output and error where they are a terminal that has gone.

    Whatever is written there would raise, and so end what is to be drained.
    """
    for descriptor in (1, 2):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)


def _null(descriptor: int, mode: Mode) -> TextIO:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    os.set_inheritable(descriptor, True)  # children have them, too
    return open(descriptor, mode, encoding="utf-8", closefd=False)
