"""How whoever owns a process begins and ends it, also when cancelled meanwhile: nothing is left running."""

import asyncio
from typing import cast

from headrace.otp.process.own_end import check_end_of
from headrace.otp.process.process import ExitReason, Process
from headrace.otp.supervision.child import Child


async def begin(process: Child) -> None:
    """Start a process and wait until it runs. On cancellation it is stopped, and waited for."""
    process.start()
    try:
        await asyncio.shield(process.started)
    except asyncio.CancelledError:
        process.stop()
        await asyncio.shield(process.buried)
        raise


async def end(process: Child) -> ExitReason:
    """Stop a process, wait until it has ended, and return why it has.

    On cancellation it is waited for all the same; a second one leaves it to end by itself. Raises `WaitForSelf` in a
    callback of one that it supervises.
    """
    check_end_of(cast("Process[object]", process), f"the end of {process.name!r}")
    process.stop()
    try:
        return await asyncio.shield(process.buried)
    except asyncio.CancelledError:
        await asyncio.shield(process.buried)
        raise


async def leave(process: Child, error: BaseException | None) -> None:
    """End a process at the end of an `async with` that raised `error`, if anything; raise what the process ended with.

    The block's own error goes before it.
    """
    reason = await end(process)
    if error is None and isinstance(reason, BaseException):
        raise reason
