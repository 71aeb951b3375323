"""What the outputs of a stage are called, by themselves and as stages of their own."""

from collections.abc import Sequence
from typing import Final

from headrace.pipeline.stage.stage import Stage

ERRORS: Final = "errors"
"""What the output is called by which a stage passes on what it gives up."""


def side_names(stage: type[Stage] | Stage) -> tuple[str, ...]:
    """Return what the side outputs are called that a stage has beside `errors`."""
    names: Sequence[str] = getattr(stage, "side_outputs", ())  # producer-consumers have them
    return tuple(names)


def output_name(stage: str, output: str) -> str:
    """Return what an output of a stage is called as a stage of its own.

    >>> output_name("priced", "errors")
    'priced.errors'
    """
    return f"{stage}.{output}"
