"""What an OS process runs for a stage: a function, on several events in one go."""

import asyncio
import inspect
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Made:
    """What came of one event: `output`, or the `error` that the function raised."""

    output: object = None
    error: Exception | None = None


def run_each(function: Callable[[object], object], events: Sequence[object]) -> list[Made]:
    """Return what the function makes of each event; what it raises concerns that event alone."""
    if inspect.iscoroutinefunction(function):
        return asyncio.run(_run_each_later(function, events))
    made: list[Made] = []
    for event in events:
        try:
            made.append(Made(function(event)))
        except Exception as error:  # noqa: BLE001 - it fails this event alone
            made.append(Made(error=_portable(error)))
    return made


async def _run_each_later(function: Callable[[object], object], events: Sequence[object]) -> list[Made]:
    made: list[Made] = []
    for event in events:
        try:
            returned = function(event)
            made.append(Made(await returned if inspect.isawaitable(returned) else returned))
        except Exception as error:  # noqa: BLE001 - it fails this event alone
            made.append(Made(error=_portable(error)))
    return made


def _portable(error: Exception) -> Exception:
    """Return the error as another OS process can make it again; else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled right before
    except Exception:  # noqa: BLE001 - whatever it is that cannot be pickled
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
