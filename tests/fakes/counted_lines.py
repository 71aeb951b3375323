"""Counts work instead of time: the lines of headrace that run."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from types import FrameType
from typing import Final

import headrace

_OURS: Final = str(Path(headrace.__file__).parent)


def lines_run(work: Coroutine[object, object, object]) -> int:
    """Run `work` on a loop of its own; return how many lines of headrace that took, loops within a line aside."""
    count = 0

    def local(frame: FrameType, event: str, _: object) -> object:
        nonlocal count
        count += event == "line"
        return local

    def enter(frame: FrameType, event: str, argument: object) -> object:
        return local(frame, "line", argument) if frame.f_code.co_filename.startswith(_OURS) else None

    former = sys.gettrace()
    sys.settrace(enter)  # type: ignore[arg-type] # a trace function returns one
    try:
        asyncio.run(work)
    finally:
        sys.settrace(former)
    return count
