"""Merging: an event's own fields with those of a template put in, as a new dict, in one step of compiled code."""

import ast
from collections.abc import Callable, Mapping
from typing import Annotated, cast

from pydantic import PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from headrace.expressions import Expression, ExpressionError, compile_template
from headrace.expressions.expression import Part, assemble, prepare
from headrace.expressions.fast_code import new_names
from headrace.expressions.patterns import Regex
from headrace.stages.errors import BadEvent
from headrace.stages.options import compiled, refused


def compile_merge(fields: Mapping[str, object], regex: Regex = "re2") -> Expression:
    """Return an expression whose value is a new dict: an event's own fields, with `fields` put in.

    The values are as in a template, and all of them read the event as it was. Twice as fast as a template's dict put
    into a copy of the event. Raises `ExpressionError` as `compile_template` does.

    >>> half = compile_merge({"total": "event.total / 2", "seen": True})
    >>> half({"sku": "a", "total": 8})
    {'sku': 'a', 'total': 4.0, 'seen': True}
    """
    names = new_names()
    parts = {key: _part(key, value, names, regex) for key, value in fields.items()}
    quick = ast.Dict([None, *map(ast.Constant, parts)], [_event(), *(part.quick for part in parts.values())])
    careful = {key: part.careful for key, part in parts.items()}
    read = tuple(dict.fromkeys(name for part in parts.values() for name in part.fields))
    return assemble(repr(dict(fields)), Part(quick, lambda event: _merged(event, careful), read), names)


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
    PlainSerializer(lambda merge: merge.text, when_used="json"),
    WithJsonSchema({"type": "object"}),
]
"""A mapping of fields to expressions, to be put into a copy of each event."""
