"""Prints findings on stderr, with colours where they are wanted."""

import os
import re
import sys
from typing import Final

from headrace.config.text.findings import ConfigError

_BOLD: Final = "\x1b[1m"
_RED: Final = "\x1b[31m"
_CYAN: Final = "\x1b[36m"
_PLAIN: Final = "\x1b[0m"
_COLOURS: Final = (
    (re.compile(r"^(\S.*?:\d+:\d+:) ([a-z-]+:)", re.MULTILINE), rf"{_BOLD}\1{_PLAIN} {_RED}\2{_PLAIN}"),
    (re.compile(r"^( +\|\s+)(\^+)$", re.MULTILINE), rf"\1{_RED}\2{_PLAIN}"),
    (re.compile(r"^( += )(allowed:)", re.MULTILINE), rf"\1{_CYAN}\2{_PLAIN}"),
)
"""What is coloured: the place and the code, the mark under the place, and the word before what is allowed."""


def print_findings(error: ConfigError) -> None:
    """Print findings for people."""
    text = error.as_text()
    if _has_colours():
        for pattern, painted in _COLOURS:
            text = pattern.sub(painted, text)
    print(text, file=sys.stderr)


def _has_colours() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stderr.isatty() and os.environ.get("TERM") != "dumb")
