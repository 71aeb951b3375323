"""Prints tables on stdout: as wide as the terminal, and uncut in a pipe."""

import os
import sys
from typing import Final

from rich.console import Console, RenderableType

_UNCUT: Final = 100_000  # columns: no table is as wide
_USUAL: Final = 80  # columns of a terminal that does not say how many it has


def print_tables(*parts: RenderableType) -> None:
    """Print to stdout."""
    console = stdout_console()
    for part in parts:
        console.print(part)


def stdout_console() -> Console:
    """Return a console for stdout: as wide as the terminal or as COLUMNS says, and without a limit otherwise."""
    width = _UNCUT
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        width = min(int(columns), _UNCUT)
    elif sys.stdout.isatty():
        width = os.get_terminal_size(sys.stdout.fileno()).columns or _USUAL
    return Console(highlight=False, width=width)
