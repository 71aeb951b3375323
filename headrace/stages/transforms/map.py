"""Turns each event into another, by a Python function or by setting fields."""

import ast
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, cast

from pydantic import (
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from typing_extensions import override

from headrace.expressions import Expression, ExpressionError, compile_template
from headrace.expressions.expression import Part, assemble, prepare
from headrace.expressions.fast_code import new_names
from headrace.expressions.patterns import Regex
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.errors import BadEvent
from headrace.stages.functions import Function, apply_to_events, await_events, evaluate_events
from headrace.stages.options import EXPRESSION_TEXT, FunctionField, Options, StageType, compiled, refused


def compile_merge(fields: Mapping[str, object], regex: Regex = "re2") -> Expression:
    """Return an expression for a new dict: the event's fields, updated with `fields`.

    The values are templates, and all of them read the original event. Twice as fast as a copy of the event updated
    with a template's dict. Raises `ExpressionError`, as `compile_template` does.

    >>> half = compile_merge({"total": "event.total / 2", "seen": True})
    >>> half({"sku": "a", "total": 8})
    {'sku': 'a', 'total': 4.0, 'seen': True}
    """
    names = new_names()
    parts = {key: _part(key, value, names, regex) for key, value in fields.items()}
    quick = ast.Dict([None, *map(ast.Constant, parts)], [_event(), *(part.quick for part in parts.values())])
    checked = {key: part.checked for key, part in parts.items()}
    read = tuple(dict.fromkeys(name for part in parts.values() for name in part.fields))
    return assemble(repr(dict(fields)), Part(quick, lambda event: _merged(event, checked), read), names)


def _part(key: str, value: object, names: dict[str, object], regex: Regex) -> Part:
    if isinstance(value, str):
        try:
            return prepare(value, names, regex)
        except ExpressionError as error:
            raise error.within(key) from None
    template = compile_template({key: value}, regex)
    name = f"template{len(names)}"
    names[name] = template
    quick = ast.Subscript(ast.Call(ast.Name(name, ast.Load()), [_event()], []), ast.Constant(key), ast.Load())
    return Part(quick, lambda event: cast("Mapping[str, object]", template(event))[key], template.fields)


def _event() -> ast.expr:
    return ast.Name("event", ast.Load())


def _merged(event: object, fields: Mapping[str, Callable[[object], object]]) -> object:
    if not isinstance(event, Mapping):
        why = f"`set` needs events that are mappings, and this one is of type {type(event).__name__}"
        raise BadEvent(why)
    return {**event, **{key: value(event) for key, value in fields.items()}}


def _merge(value: object, info: ValidationInfo) -> Expression:
    if not isinstance(value, dict) or not value:
        raise refused("bad_value", "it must be a mapping of fields to expressions")
    return compiled(compile_merge, value, info)


MergeField = Annotated[
    Expression,
    PlainValidator(_merge),
    EXPRESSION_TEXT,
    WithJsonSchema({"type": "object"}),
]
"""A mapping of fields to expressions, set in a copy of each event."""


class MapOptions(Options):
    """The new event: `call` or `set`, not both."""

    exactly_one = ("a map", "call", "set")

    call: FunctionField | None = Field(
        default=None, description="A Python function, module:function, def or async def: one event in, one out."
    )
    set: MergeField | None = Field(
        default=None, description="Fields to set in a copy of the event, each by an expression that reads the event."
    )


class Map(ProducerConsumer[object, object], StageType):
    """Emits one new event for each event, in order. An event for which the function raises fails alone."""

    Options = MapOptions
    per_event = True
    one_to_one = True

    def __init__(self, options: MapOptions) -> None:
        self._set = options.set
        self._call = options.call
        self._is_async = inspect.iscoroutinefunction(options.call)

    @override
    def awaits(self) -> bool:
        return self._is_async

    @override
    def offload(self) -> Function | None:
        return self._call

    @override
    def handle_events(self, events: list[object]) -> list[object] | Awaitable[list[object]]:
        if self._set is not None:
            return evaluate_events(self._set, events, self.fail_at)
        call = cast("Function", self._call)
        if self._is_async:
            return await_events(call, events, self.fail_at)
        outputs = apply_to_events(call, events, self.fail_at)
        if outputs and inspect.isawaitable(outputs[0]):
            self._is_async = True  # a plain function that returned the coroutine of an async one
            return await_events(_itself, outputs, self.fail_at)
        return outputs


def _itself(output: object) -> object:
    return output
