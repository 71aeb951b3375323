"""Applies a function or an expression to each event of a batch: what it raises fails that event alone, and is told."""

import inspect
from collections.abc import Callable
from typing import TypeVar

from headrace.expressions import Expression
from headrace.stages.errors import BadEvent

T = TypeVar("T")

Fail = Callable[[int, BaseException], None]
"""Told of each event that failed: at which position of the batch, and with what."""


def apply_each(function: Callable[[object], T], events: list[object], fail: Fail) -> list[T]:
    """Return what `function` makes of the events, in their order, without those that failed.

    No event is tried twice: one iterator runs through the batch, and goes on behind an event that failed.
    """
    outputs: list[T] = []
    rest = iter(events)
    failed = 0
    while True:
        try:
            outputs.extend(map(function, rest))
        except Exception as error:  # noqa: BLE001 - it fails this event alone
            fail(len(outputs) + failed, error)
        else:
            if len(outputs) + failed == len(events):
                return outputs
            why = "the function raised StopIteration, which ends a loop and says nothing of an event"
            fail(len(outputs) + failed, BadEvent(why))
        failed += 1


def evaluate_each(expression: Expression, events: list[object], fail: Fail) -> list[object]:
    """As `apply_each`, in one step for the whole batch where no event fails."""
    try:
        return expression.column(events)
    except Exception:  # noqa: BLE001 - one at a time, each event that fails is told
        return apply_each(expression, events, fail)


async def await_each(function: Callable[[object], object], events: list[object], fail: Fail) -> list[object]:
    """As `apply_each`, and wait for each event's output, if it is to be awaited, before the next event is begun."""
    outputs: list[object] = []
    for position, event in enumerate(events):
        try:
            output = function(event)
            outputs.append(await output if inspect.isawaitable(output) else output)
        except Exception as error:  # noqa: BLE001 - it fails this event alone
            fail(position, error)
    return outputs
