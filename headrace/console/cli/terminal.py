"""Prints tables on stdout: as wide as the terminal, and uncut in a pipe."""

import os
import sys
from typing import Final

from rich.console import Console, RenderableType

_UNCUT: Final = 100_000  # columns: no table is as wide


def show(*parts: RenderableType) -> None:
    """Print to stdout."""
    console = stdout_console()
    for part in parts:
        console.print(part)


def stdout_console() -> Console:
    """Return a console for stdout: as wide as the terminal or as COLUMNS says, and without a limit otherwise."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return Console(highlight=False)
    return Console(highlight=False, width=_UNCUT)
