"""Standard streams, colours and exit codes: everything that the command line needs before it imports a command."""

import os
import stat
import sys
from collections.abc import MutableMapping
from enum import IntEnum, StrEnum
from io import TextIOWrapper
from typing import Annotated, Final, Literal, TextIO

import typer


class ExitCode(IntEnum):
    """The exit codes of every command; 78 is EX_CONFIG of sysexits.h."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 78


StreamMode = Literal["r", "w"]


UNENCODABLE: Final = "backslashreplace"
"""How to write characters that the encoding lacks, as in a file name that is not UTF-8."""


_MODES: Final[dict[str, StreamMode]] = {"stdin": "r", "stdout": "w", "stderr": "w"}
"""The standard streams in the order of their descriptors, 0 to 2."""


def reopen_closed() -> None:
    """Open the null device for every standard stream that is closed, as after `2>&-`.

    Reads return nothing and writes are dropped, as the user asked for. A stream that stayed closed would give its
    descriptor to the next file or socket that is opened, and a stray message would go into that.
    """
    for descriptor, (name, mode) in enumerate(_MODES.items()):
        if getattr(sys, name) is None:
            setattr(sys, name, _null(descriptor, mode))


def escape_unencodable() -> None:
    """Make stdout write an escape for a character that its encoding lacks, as stderr does; printing would raise."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors=UNENCODABLE)


def has_terminal() -> bool:
    """Return whether the OS process has a controlling terminal, which may close; its streams do not matter."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def ignore_lost_terminal() -> None:
    """Replace standard output and error by the null device where they are a terminal that has closed.

    Writing to the closed terminal would raise, and so end the run before it has drained.
    """
    for descriptor in (1, 2):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)


def _null(descriptor: int, mode: StreamMode) -> TextIO:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    os.set_inheritable(descriptor, True)  # child processes inherit standard streams
    return open(descriptor, mode, encoding="utf-8", closefd=False)


class Color(StrEnum):
    """When output has colours."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def set_color(when: Color, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set NO_COLOR or FORCE_COLOR, which all printing code and every child process read.

    >>> environ = {"NO_COLOR": "1"}
    >>> set_color(Color.ALWAYS, environ)
    >>> environ
    {'FORCE_COLOR': '1'}
    """
    if when is Color.AUTO:
        return
    setting, other = ("FORCE_COLOR", "NO_COLOR") if when is Color.ALWAYS else ("NO_COLOR", "FORCE_COLOR")
    environ[setting] = "1"
    environ.pop(other, None)


def _chosen(when: Color) -> Color:
    set_color(when)
    return when


ColorOption = Annotated[
    Color,
    typer.Option(
        "--color",
        help="Use colours: auto means on a terminal, unless NO_COLOR is set.",
        metavar="auto|always|never",
        callback=_chosen,
        is_eager=True,
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
