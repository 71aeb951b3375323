"""Turns each event into any number of events, by a Python function or an expression."""

import inspect
from collections.abc import Awaitable, Iterable, Sequence

from pydantic import Field
from typing_extensions import override

from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.stage import NOT_EVENTS
from headrace.stages.errors import BadEvent
from headrace.stages.functions import Function
from headrace.stages.options import ExpressionField, FunctionField, Options, StageType


class FlatMapOptions(Options):
    """The new events: `call` or `each`, not both."""

    exactly_one = ("a flat_map", "call", "each")

    call: FunctionField | None = Field(
        default=None, description="A Python function, module:function, def or async def, that returns the new events."
    )
    each: ExpressionField | None = Field(
        default=None, description="An expression for the list of new events, such as event.items."
    )


class FlatMap(ProducerConsumer[object, object], StageType):
    """Emits the new events of each event, in order.

    An event for which the function raises, or returns no list of events, fails alone.
    """

    Options = FlatMapOptions
    per_event = True

    def __init__(self, options: FlatMapOptions) -> None:
        self._call: Function | None = options.call
        self._function: Function = options.each if options.call is None else options.call  # type: ignore[assignment] # the validator requires one
        self._is_async = inspect.iscoroutinefunction(options.call)

    @override
    def awaits(self) -> bool:
        return self._is_async

    @override
    def offload(self) -> Function | None:
        return self._call

    @override
    def handle_events(self, events: list[object]) -> list[object] | Awaitable[list[object]]:
        made = self.handle_each(events)
        return self._flat_later(made) if inspect.isawaitable(made) else _flat(made)

    @override
    def handle_each(self, events: list[object]) -> list[Sequence[object]] | Awaitable[list[Sequence[object]]]:
        if self._is_async:
            return self._each_later(events)
        made: list[Sequence[object]] = []
        for position, event in enumerate(events):
            try:
                made.append(_events(self._function(event)))
            except Exception as error:  # noqa: BLE001 - it fails this event alone
                self.fail_at(position, error)
                made.append(())
        return made

    async def _each_later(self, events: list[object]) -> list[Sequence[object]]:
        made: list[Sequence[object]] = []
        for position, event in enumerate(events):
            try:
                returned = self._function(event)
                made.append(_events(await returned if inspect.isawaitable(returned) else returned))
            except Exception as error:  # noqa: BLE001 - it fails this event alone
                self.fail_at(position, error)
                made.append(())
        return made

    async def _flat_later(self, made: Awaitable[list[Sequence[object]]]) -> list[object]:
        return _flat(await made)


def _flat(made: list[Sequence[object]]) -> list[object]:
    return [output for outputs in made for output in outputs]


def _events(returned: object) -> Sequence[object]:
    if isinstance(returned, NOT_EVENTS) or not isinstance(returned, Iterable):
        why = f"a flat_map makes a list of events, or another iterable of them, and this is a {type(returned).__name__}"
        raise BadEvent(why)
    return list(returned)
