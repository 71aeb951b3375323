"""Errors, function signatures and hints for expressions.

::

    HeadraceError
    ├── ExpressionError          the text is not a valid expression
    └── EvaluationError          an event does not fit the expression
        └── MissingFieldError    the event lacks a field or an item
"""

import ast
import difflib
import operator
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from typing_extensions import override

from headrace.errors import HeadraceError

_SHOWN_CHARACTERS = 120  # one line of a log


class ExpressionError(HeadraceError):
    """A text is not a valid expression.

    `column` counts the characters of `text` from 1, line breaks included. `why` names the problem, and `hint` says how
    to write it instead (or is empty). `path` leads to the text inside a template, and is empty outside of one.
    """

    def __init__(self, text: str, column: int, why: str, hint: str = "", *, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(text, column, why, hint)
        self.text = text
        self.column = column
        self.why = why
        self.hint = hint
        self.path = path

    @override
    def __str__(self) -> str:
        where = f" at {'.'.join(map(str, self.path))}" if self.path else ""
        return _sentence(f"{self.why} in {_shown(self.text, self.column)}, column {self.column}{where}", self.hint)

    def within(self, *outer: str | int) -> "ExpressionError":
        """Return the same error with outer steps before its path."""
        return ExpressionError(self.text, self.column, self.why, self.hint, path=(*outer, *self.path))


class EvaluationError(HeadraceError):
    """An event does not fit the expression `text`; `why` and `hint` are as in `ExpressionError`."""

    def __init__(self, text: str, why: str, hint: str = "") -> None:
        super().__init__(text, why, hint)
        self.text = text
        self.why = why
        self.hint = hint

    @override
    def __str__(self) -> str:
        return _sentence(
            f"{self.why} in {self.text!r}", self.hint
        )  # not shortened: redaction could not find half a secret


class MissingFieldError(EvaluationError):
    """An event lacks the field, attribute or item that the expression reads."""


def _sentence(what: str, hint: str) -> str:
    return f"{what}: {hint}" if hint else what


def _shown(text: str, column: int = 1) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return repr(text)
    start = max(column - _SHOWN_CHARACTERS // 2, 0)
    part = text[start : start + _SHOWN_CHARACTERS]
    return repr(f"{'...' if start else ''}{part}{'' if text.endswith(part) else '...'}")


@dataclass(frozen=True, slots=True)
class Signature:
    """The number of arguments of a function, and an example of its use. `most` is None for any number of arguments."""

    usage: str
    least: int
    most: int | None

    def takes(self, count: int) -> bool:
        """Return whether that number of arguments is valid."""
        return self.least <= count and (self.most is None or count <= self.most)


SIGNATURES = {
    "len": Signature("len(event.name)", 1, 1),
    "lower": Signature("lower(event.name)", 1, 1),
    "upper": Signature("upper(event.name)", 1, 1),
    "strip": Signature('strip(event.name) or strip(event.name, "/")', 1, 2),
    "startswith": Signature('startswith(event.name, "a")', 2, 2),
    "endswith": Signature('endswith(event.name, "z")', 2, 2),
    "contains": Signature('contains(event.tags, "new")', 2, 2),
    "matches": Signature('matches(event.name, "^[a-z]+$")', 2, 2),
    "int": Signature("int(event.count)", 1, 1),
    "float": Signature("float(event.price)", 1, 1),
    "str": Signature("str(event.id)", 1, 1),
    "bool": Signature("bool(event.tags)", 1, 1),
    "abs": Signature("abs(event.change)", 1, 1),
    "min": Signature("min(event.a, event.b)", 1, None),
    "max": Signature("max(event.a, event.b)", 1, None),
    "round": Signature("round(event.price) or round(event.price, 2)", 1, 2),
    "coalesce": Signature('coalesce(event.nick, event.name, "nobody")', 1, None),
    "has": Signature("has(event.user.name)", 1, 1),
    "default": Signature("default(event.count, 0)", 2, 2),
    "get": Signature('get(event.prices, event.sku) or get(event.prices, "a", 0)', 2, 3),
}

# Methods are unbound here: str.lower(5) is a TypeError, while 5.lower() would run a method of the event's own class.
PLAIN_FUNCTIONS: dict[str, Callable[..., object]] = {
    "len": len,
    "lower": str.lower,
    "upper": str.upper,
    "strip": str.strip,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "abs": abs,
    "min": min,
    "max": max,
    "round": round,
}


def _import_time(name: str, *_: object) -> object:
    """Import `time`: the only module that Python itself imports in the code of an expression, to format a date."""
    if name != "time":
        raise ImportError(name)
    return time


BUILTINS: dict[str, object] = {"__import__": _import_time}
"""The builtins of the code of expressions. An expression cannot name them: the grammar knows only its functions."""


USE_A_FUNCTION = "write a Python function and name it with call:"
NO_TEXT = ("a character that is no text", r"write it as an escape in quotes, such as '\x00'")
NO_REPETITION = ("* and % are for numbers here, not for text or lists", 'to build a text write f"{event.a}-{event.b}"')
IDENTITY = ("'is' compares with None, True and False only", "write == or !=")
CONVERSION = ("a conversion in an f-string is not in the language", "write {event.a} alone, without ! and =")
FORMAT = ("the format in an f-string must be a constant with widths below 1000", "write it as in {event.price:.2f}")
DIGITS = ("the digits of round() must be a whole number from -20 to 20", "write it as in round(event.price, 2)")
PATTERN = ("the regular expression of matches() must be a text in quotes", SIGNATURES["matches"].usage)
BACKSPACE = ("the regular expression holds a backspace", r'for a word boundary write r"\b" with an r before the quote')

_CODE_CHARACTERS = 60  # a hint that quotes this much stays on one line

_NAMES_IN_OTHER_LANGUAGES = {
    "true": "True",
    "false": "False",
    "null": "None",
    "none": "None",
    "nil": "None",
    "undefined": "None",
}

_OPERATORS: dict[type[ast.operator | ast.unaryop], tuple[str, str]] = {
    ast.Pow: ("**", "multiply, as in event.a * event.a"),
    ast.LShift: ("<<", "multiply by the number"),
    ast.RShift: (">>", "divide by the number with //"),
    ast.BitAnd: ("&", "write and"),
    ast.BitOr: ("|", "write or"),
    ast.BitXor: ("^", "write !="),
    ast.MatMult: ("@", USE_A_FUNCTION),
    ast.Invert: ("~", "write not"),
}

_CONSTRUCTS: dict[type[ast.expr], str] = {
    ast.Lambda: "a lambda",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.NamedExpr: ":=",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.Starred: "*",
    ast.Dict: "** in a dict",
}

_SYNTAX_HINTS = {
    "&": "write and",
    "|": "write or",
    "!": "write not",
    "?": "write a if event.ok else b",
    "=": "write == to compare",
    "$": "variables are put in by the config, as ${NAME}",
}


def explain(node: ast.expr) -> tuple[str, str]:
    """Return why a node is not allowed, and how to write it instead."""
    match node:
        case ast.Name(id=name):
            return _unknown_name(name)
        case ast.Attribute(value=value, attr=name):
            return f"the attribute {name!r} is private", f'write {_code(value)}["{name}"] for a key'
        case ast.Call(func=function):
            return _method(node, function) if isinstance(function, ast.Attribute) else _unknown_function(function)
        case ast.BinOp(op=op) | ast.UnaryOp(op=op):
            sign, hint = _OPERATORS[type(op)]
            return f"the operator {sign} is not in the language", hint
        case ast.Constant(value=value):
            return f"a literal of type {type(value).__name__} is not in the language", "write a text or a number"
        case _:
            what = _CONSTRUCTS.get(type(node), f"a {type(node).__name__}")
            return f"{what} is not in the language", USE_A_FUNCTION


def no_path(function: str) -> tuple[str, str]:
    """Return the sentence for a first argument of `has` or `default` that is no path into the event."""
    return f"{function}() takes a path into the event", f"write {SIGNATURES[function].usage}"


def date(text: str) -> tuple[str, str]:
    """Return the sentence for a bare date, which Python reads as a subtraction."""
    return f"{text} is a subtraction here, and not a date", f"""quote it twice to have it as text: "'{text}'\""""


def syntax_hint(text: str, column: int) -> str:
    """Return the likely remedy at the place where Python's parser stopped."""
    for character in text[column - 1 : column + 1] + text[max(column - 2, 0) : column - 1]:
        if character in _SYNTAX_HINTS:
            return _SYNTAX_HINTS[character]
    return "write it on one line, or put brackets around it" if "\n" in text.strip() else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the most similar known word, or an empty text when none is similar."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def _unknown_name(name: str) -> tuple[str, str]:
    why = f"the name {name!r} is not known"
    if name in SIGNATURES:
        return f"{name!r} is a function", f"write {SIGNATURES[name].usage}"
    if name in _NAMES_IN_OTHER_LANGUAGES:
        return why, f"write {_NAMES_IN_OTHER_LANGUAGES[name]}"
    if did_you_mean(name, ["event"]):
        return why, "did you mean event?"
    return why, f"write event.{name} for the field, or '{name}' in quotes for the text"


def _method(call: ast.Call, method: ast.Attribute) -> tuple[str, str]:
    why = "methods are not called here"
    if method.attr not in SIGNATURES:
        return why, _functions()
    instead = ast.Call(ast.Name(method.attr), [method.value, *call.args], [])
    return why, f"write {_code(instead)} instead of {_code(call)}"


def _unknown_function(function: ast.expr) -> tuple[str, str]:
    if not isinstance(function, ast.Name):
        return "only the functions of the language are called", _functions()
    near = did_you_mean(function.id, SIGNATURES)
    return f"there is no function {function.id!r}", f"did you mean {near}?" if near else _functions()


def _functions() -> str:
    return f"the functions are {', '.join(SIGNATURES)}"


def _code(node: ast.expr) -> str:
    code = ast.unparse(node)
    return code if len(code) <= _CODE_CHARACTERS else "..."
