"""Templates: dicts and lists whose strings are expressions, as `labels`, `set` and `args` of a config have them."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.expressions.errors import ExpressionError
from headrace.expressions.expression import Expression, Part, assemble, prepare
from headrace.expressions.fast_code import new_names
from headrace.expressions.patterns import Regex

MAX_DEPTH = 16
MAX_PARTS = 1000  # a YAML alias can stand for many


def compile_template(spec: object, regex: Regex = "re2") -> Expression:
    """The template as an `Expression` whose value is a new dict or list for each event.

    In it a string is an expression (and a quoted string inside that a text); numbers, booleans and None stand for
    themselves. Raises `ExpressionError` for the first string that is none, with its `path` in the template.

    >>> label = compile_template({"country": "event.country", "zone": "'eu'", "sizes": ["event.size", 1]})
    >>> label({"country": "fr", "size": 5})
    {'country': 'fr', 'zone': 'eu', 'sizes': [5, 1]}
    >>> label.fields
    ('country', 'size')
    """
    plan = _Plan(regex)
    part = plan.part(spec, ())
    return assemble(repr(spec), part, plan.names)


@dataclass(slots=True)
class _Plan:
    regex: Regex
    names: dict[str, object] = field(default_factory=new_names)
    parts: int = 0

    def part(self, spec: object, path: tuple[str | int, ...]) -> Part:
        self.parts += 1
        if len(path) > MAX_DEPTH or self.parts > MAX_PARTS:
            why = f"the template is nested deeper than {MAX_DEPTH}, or has more than {MAX_PARTS} parts"
            raise ExpressionError("", 1, why, "write a Python function", path=path)
        match spec:
            case str():
                return self._expression(spec, path)
            case dict():
                return self._dict(spec, path)
            case list():
                return self._list(spec, path)
            case bool() | int() | float() | None:
                return Part(ast.Constant(spec), lambda _: spec, ())
            case _:
                raise ExpressionError(
                    "", 1, f"a {type(spec).__name__} cannot stand in a template", "write an expression", path=path
                )

    def _expression(self, text: str, path: tuple[str | int, ...]) -> Part:
        try:
            return prepare(text, self.names, self.regex)
        except ExpressionError as error:
            raise error.within(*path) from None

    def _dict(self, spec: dict[object, object], path: tuple[str | int, ...]) -> Part:
        parts: dict[str, Part] = {}
        for key, value in spec.items():
            if not isinstance(key, str):
                why = f"the key {key!r} is of type {type(key).__name__}"
                raise ExpressionError(str(key), 1, why, f'write "{key}" in quotes', path=path)
            parts[key] = self.part(value, (*path, key))
        quick = ast.Dict([ast.Constant(key) for key in parts], [part.quick for part in parts.values()])
        careful = {key: part.careful for key, part in parts.items()}
        return Part(quick, lambda event: {key: value(event) for key, value in careful.items()}, _fields(parts.values()))

    def _list(self, spec: list[object], path: tuple[str | int, ...]) -> Part:
        parts = [self.part(value, (*path, index)) for index, value in enumerate(spec)]
        quick = ast.List([part.quick for part in parts], ast.Load())
        careful = [part.careful for part in parts]
        return Part(quick, lambda event: [value(event) for value in careful], _fields(parts))


def _fields(parts: Iterable[Part]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part.fields))
