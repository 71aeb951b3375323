"""Refuses a callback that waits for an end which waits for the callback itself."""

import asyncio
from collections.abc import Generator
from typing import Any

from headrace.errors import WaitForSelf
from headrace.otp.process.process import CURRENT, ExitReason, Process


def calling_process() -> Process[object] | None:
    """Return the process whose callback runs now; None in a task that a callback has begun, and outside of any."""
    process = CURRENT.get(None)
    return process if process is not None and process.is_in_callback() else None


def check_end_of(process: Process[object], what: str) -> None:
    """Raise `WaitForSelf` in a callback of `process`, or of one that it supervises, for such an end never comes."""
    calling = calling_process()
    if calling is not None and _is_part_of(calling, process):
        raise WaitForSelf(calling.name, what)


def _is_part_of(process: Process[object], whole: Process[object]) -> bool:
    return process is whole or any(_is_part_of(process, child) for child in whole.child_entries())


class OwnEnd:
    """The end of a process that one of its callbacks has stopped: others may await it, and the callback may not."""

    __slots__ = ("_process",)

    def __init__(self, process: Process[object]) -> None:
        self._process = process

    def __await__(self) -> Generator[Any, None, ExitReason]:
        """Wait until the process has ended. Raises `WaitForSelf` in its own callbacks."""
        check_end_of(self._process, f"the end of {self._process.name!r}")
        return asyncio.shield(self._process.terminated).__await__()
