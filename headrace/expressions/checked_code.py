"""The checked code of an expression, which accepts every kind of event, and how it reads fields."""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from types import BuiltinMethodType, FunctionType, MethodType, MethodWrapperType
from typing import Protocol, cast

from typing_extensions import override

from headrace.expressions.explanations import BUILTINS, PLAIN_FUNCTIONS, SIGNATURES, MissingFieldError, did_you_mean
from headrace.expressions.patterns import compile_search

_ABSENT = object()
_METHODS = (BuiltinMethodType, FunctionType, MethodType, MethodWrapperType)
_NAMES_SHOWN = 6  # enough to recognise an event


class _Readable(Protocol):
    def __getitem__(self, key: object, /) -> object: ...


class Missing(LookupError):
    """The field or item `name` is missing in `value`, which the expression calls `source`."""

    def __init__(self, value: object, name: object, source: str) -> None:
        super().__init__(name)
        self.value = value
        self.name = name
        self.source = source

    def in_expression(self, text: str) -> MissingFieldError:
        """Return the error for the user. Its sentence is made only here."""
        what = "field" if isinstance(self.name, str) else "item"
        return MissingFieldError(text, f"{self.source} has no {what} {self.name!r}{self._kind()}", self._hint())

    def _kind(self) -> str:
        if self.value is None:
            return " (it is None)"
        return "" if isinstance(self.value, Mapping) else f" (it is of type {type(self.value).__name__})"

    def _hint(self) -> str:
        known = _field_names(self.value)
        name = str(self.name)
        if near := did_you_mean(name, known):
            return f"did you mean {near!r}?"
        if known:
            more = ", ..." if len(known) > _NAMES_SHOWN else ""
            return f"it has {', '.join(known[:_NAMES_SHOWN])}{more}"
        if name in SIGNATURES:
            return f"write {SIGNATURES[name].usage}"
        return "where it may be missing use default() or has()"


def read_field(value: object, name: str, source: str) -> object:
    """Return the value of `event.name`: the key of a mapping, else an item, else an attribute that is no method."""
    if hasattr(type(value), "__getitem__"):
        try:
            return cast("_Readable", value)[name]
        except (LookupError, TypeError, ValueError):
            if isinstance(value, Mapping):
                raise Missing(value, name, source) from None
    found = getattr(value, name, _ABSENT)
    if found is _ABSENT or isinstance(found, _METHODS):
        raise Missing(value, name, source)
    return found


def read_item(value: object, key: object, source: str) -> object:
    """Return the value of `event["key"]`."""
    try:
        return cast("_Readable", value)[key]
    except (LookupError, TypeError):
        raise Missing(value, key, source) from None


def find_field(value: object, name: str, source: str) -> object:
    """Like `read_field`, but a missing key stays missing in a mapping that makes values up (a defaultdict)."""
    return read_field(_holding(value, name, source), name, source)


def find_item(value: object, key: object, source: str) -> object:
    """Like `read_item`, but a missing key stays missing in a mapping that makes values up."""
    return read_item(_holding(value, key, source), key, source)


def has(path: Callable[[], object]) -> bool:
    """Return whether the path leads to a value, which may be None."""
    try:
        path()
    except Missing:
        return False
    return True


def default(path: Callable[[], object], fallback: Callable[[], object]) -> object:
    """Return the value at the path, which may be None; the fallback if the path leads nowhere."""
    try:
        return path()
    except Missing:
        return fallback()


def coalesce(*candidates: Callable[[], object]) -> object:
    """Return the first value that is not None, else None; the values after it are not computed."""
    return next((value for candidate in candidates if (value := candidate()) is not None), None)


def get(value: object, key: object, fallback: object = None) -> object:
    """Return the value under the key or field, else the fallback."""
    try:
        if isinstance(key, str) and not key.startswith("_"):
            return find_field(value, key, "")
        return find_item(value, key, "")
    except Missing:
        return fallback


def _holding(value: object, key: object, source: str) -> object:
    if isinstance(value, Mapping) and key not in value:
        raise Missing(value, key, source)
    return value


def _field_names(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [key for key in value if isinstance(key, str)]
    holders = (getattr(value, kind, ()) for kind in ("__dict__", "__slots__", "_fields"))
    return [name for holder in holders for name in holder if not name.startswith("_")]


def compile_checked(tree: ast.expr) -> ast.expr:
    """Return the tree as checked code. It reuses the nodes of the given tree."""
    checked: ast.expr = _CheckedCompiler().visit(tree)
    return checked


class _WrongTypes(TypeError):
    def __init__(self, operation: str, *values: object) -> None:
        super().__init__(f"{operation} cannot take {', '.join(type(value).__name__ for value in values)}")


class _CheckedCompiler(ast.NodeTransformer):
    def __init__(self, verb: str = "read") -> None:
        self._verb = verb

    @override
    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        source = ast.Constant(_source_of(node.value))
        return _call(f"{self._verb}_field", self.visit(node.value), ast.Constant(node.attr), source)

    @override
    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        source = ast.Constant(_source_of(node.value))
        node.value, node.slice = self.visit(node.value), self.visit(node.slice)
        if isinstance(node.slice, ast.Slice):
            return node
        return _call(f"{self._verb}_item", node.value, node.slice, source)

    @override
    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        node.left, node.right = self.visit(node.left), self.visit(node.right)
        match node.op:
            case ast.Mult():
                return _call("multiply", node.left, node.right)
            case ast.Mod():
                return _call("remainder", node.left, node.right)
            case _:
                return node

    @override
    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(func=ast.Name(id="has" | "default"), args=[path, *rest]):
                node.args = [_later(_CheckedCompiler("find").visit(path)), *(_later(self.visit(each)) for each in rest)]
            case ast.Call(func=ast.Name(id="coalesce"), args=candidates):
                node.args = [_later(self.visit(candidate)) for candidate in candidates]
            case _:
                node.args = [self.visit(argument) for argument in node.args]
        return node


def _source_of(node: ast.expr) -> str:
    """Return the name of the value that a node reads from, for sentences."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_source_of(value)}.{name}"
        case ast.Subscript(value=value, slice=ast.Constant(value=key)):
            return f"{_source_of(value)}[{key!r}]"
        case _:
            return "the value"


def _call(function: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(function, ast.Load()), list(arguments), [])


def _later(node: ast.expr) -> ast.expr:
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(nothing, node)


def _naming_types(name: str, function: Callable[..., object]) -> Callable[..., object]:
    def call(*arguments: object) -> object:
        try:
            return function(*arguments)
        except TypeError as error:
            raise _WrongTypes(f"{name}()", *arguments) from error

    return call


def _matches(text: str, pattern: str) -> bool:
    return compile_search(pattern)(text)


def _matches_python(text: str, pattern: str) -> bool:
    return compile_search(pattern, "python")(text)


def _multiply(left: object, right: object) -> object:
    return operator.mul(_number("*", left), _number("*", right))


def _remainder(left: object, right: object) -> object:
    return operator.mod(_number("%", left), right)


def _number(sign: str, value: object) -> object:
    # Python would repeat or format a text or a list here, to any size.
    if isinstance(value, Sequence):
        raise _WrongTypes(sign, value)
    return value


CHECKED_NAMES: dict[str, object] = {
    "__builtins__": BUILTINS,
    **{name: _naming_types(name, function) for name, function in {**PLAIN_FUNCTIONS, "matches": _matches}.items()},
    "matches_python": _naming_types("matches", _matches_python),
    "get": get,
    "has": has,
    "default": default,
    "coalesce": coalesce,
    "read_field": read_field,
    "read_item": read_item,
    "find_field": find_field,
    "find_item": find_item,
    "multiply": _multiply,
    "remainder": _remainder,
}
