"""`--color`: whether output has colours, for everything that this process prints."""

import os
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Annotated

import typer


class Color(StrEnum):
    """When output has colours."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def set_color(when: Color, environ: MutableMapping[str, str] = os.environ) -> None:
    """Write the choice where all printing code, and every child process, looks for it: NO_COLOR and FORCE_COLOR.

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
