"""Compiles a text or a template once, and applies it to events or batches."""

import ast
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

from typing_extensions import override

from headrace.errors import message_of
from headrace.expressions.checked_code import CHECKED_NAMES, Missing, compile_checked
from headrace.expressions.explanations import USE_A_FUNCTION, EvaluationError, ExpressionError
from headrace.expressions.fast_code import compile_fast, new_names
from headrace.expressions.grammar import parse_expression, read_fields
from headrace.expressions.patterns import Regex

E = TypeVar("E")

# The errors that operations of the language raise. Any other error comes from the event's own code, and passes through.
_OPERATION_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Predicate(Protocol):
    """Selects the events for which an expression is true, in order, into a new list."""

    def __call__(self, events: list[E], /) -> list[E]:
        """Return the events for which it is true. Raises `EvaluationError` for the first event that does not fit."""


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A compiled expression: call it with an event, or apply `column` or `select` to a whole batch.

    `event.a` reads the key `a` of a mapping (or of another object with keys), else the attribute `a`. `fields` are the
    top-level fields that it reads by name. All three forms raise `EvaluationError`, the batch forms for the first event
    that does not fit. They change nothing, so a caller can then go on event by event.

    >>> big = compile_expression('event.total > 10 and default(event.country, "fr") == "fr"')
    >>> big({"total": 12})
    True
    >>> big.select([{"total": 12}, {"total": 5}, {"total": 20, "country": "de"}])
    [{'total': 12}]
    >>> big.column([{"total": 12}, {"total": 5}])
    [True, False]
    >>> big.fields
    ('total', 'country')
    """

    text: str
    fields: tuple[str, ...]
    column: Callable[[Sequence[object]], list[object]] = field(repr=False)
    select: Predicate = field(repr=False)
    _evaluate: Callable[[object], object] = field(repr=False)

    def __call__(self, event: object) -> object:
        """Return the value for one event."""
        return self._evaluate(event)


@dataclass(frozen=True, slots=True)
class Part:
    """An expression half made: its fast code, not compiled yet, and its checked function, for errors."""

    quick: ast.expr
    checked: Callable[[object], object]
    fields: tuple[str, ...]


def compile_expression(text: str, regex: Regex = "re2") -> Expression:
    """Compile a text. Raises `ExpressionError`, with the column, for a text that is not a valid expression.

    The language is a subset of Python with one variable, `event`, and the functions of `SIGNATURES`. `regex` runs the
    patterns of `matches`: with "python" one event may take for ever.

    >>> compile_expression("event.name.lower()")
    Traceback (most recent call last):
    ...
    headrace.expressions.explanations.ExpressionError: methods are not called here in 'event.name.lower()', column 1: \
write lower(event.name) instead of event.name.lower()
    """
    names = new_names()
    return assemble(text, prepare(text, names, regex), names)


def prepare(text: str, names: dict[str, object], regex: Regex) -> Part:
    """Parse, check and rewrite a text; add the names that its fast code uses to `names`."""
    try:
        with _no_warnings():
            tree = parse_expression(text, regex)
            fields = read_fields(tree)
            checked = _load("lambda event: value", compile_checked(tree), CHECKED_NAMES)
            return Part(compile_fast(parse_expression(text, regex), names), _explaining(text, checked), fields)
    except (RecursionError, MemoryError):
        raise ExpressionError(text, 1, "the expression is nested too deeply", USE_A_FUNCTION) from None


def assemble(text: str, part: Part, names: dict[str, object]) -> Expression:
    """Return the finished expression: the fast code, and the checked function for events where that fails."""
    checked = part.checked
    one = _load("lambda event: value", part.quick, names)
    values = _load("lambda events: [value for event in events]", part.quick, names)
    chosen = _load("lambda events: [event for event in events if value]", part.quick, names)

    def evaluate(event: object) -> object:
        try:
            return one(event)
        except _OPERATION_ERRORS:
            pass
        return checked(event)

    def column(events: Sequence[object]) -> list[object]:
        try:
            return cast("list[object]", values(events))
        except _OPERATION_ERRORS:
            pass
        return [checked(event) for event in events]

    def select(events: list[E], /) -> list[E]:
        try:
            return cast("list[E]", chosen(events))
        except _OPERATION_ERRORS:
            pass
        return [event for event in events if checked(event)]

    return Expression(text, part.fields, column, select, evaluate)


def _explaining(text: str, checked: Callable[[object], object]) -> Callable[[object], object]:
    def explain(event: object) -> object:
        try:
            return checked(event)
        except Missing as missing:
            raise missing.in_expression(text) from None
        except _OPERATION_ERRORS as error:
            raise EvaluationError(text, message_of(error)) from error

    return explain


def _no_warnings() -> AbstractContextManager[object]:
    """Hide Python's hints to programmers, such as on unknown escapes: the reader here wrote a config."""
    return warnings.catch_warnings(action="ignore")


def _load(shape: str, value: ast.expr, names: dict[str, object]) -> Callable[[object], object]:
    tree = _Substitution(value).visit(ast.parse(shape, mode="eval"))
    with _no_warnings():
        code = compile(ast.fix_missing_locations(tree), "<expression>", "eval")
    # The code holds only allowed nodes, and no builtins but the import that formats a date.
    return cast("Callable[[object], object]", eval(code, names))  # noqa: S307


class _Substitution(ast.NodeTransformer):
    def __init__(self, value: ast.expr) -> None:
        self._value = value

    @override
    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._value if node.id == "value" else node


MAX_DEPTH = 16
MAX_PARTS = 1000  # a YAML alias can stand for many


def compile_template(spec: object, regex: Regex = "re2") -> Expression:
    """Compile a template to an `Expression` whose value is a new dict or list for each event.

    A string in the template is an expression (a quoted string inside it is a text); numbers, booleans and None are
    themselves. Raises `ExpressionError` for the first string that is not valid, with its `path` in the template.

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
        checked = {key: part.checked for key, part in parts.items()}
        return Part(quick, lambda event: {key: value(event) for key, value in checked.items()}, _fields(parts.values()))

    def _list(self, spec: list[object], path: tuple[str | int, ...]) -> Part:
        parts = [self.part(value, (*path, index)) for index, value in enumerate(spec)]
        quick = ast.List([part.quick for part in parts], ast.Load())
        checked = [part.checked for part in parts]
        return Part(quick, lambda event: [value(event) for value in checked], _fields(parts))


def _fields(parts: Iterable[Part]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part.fields))
