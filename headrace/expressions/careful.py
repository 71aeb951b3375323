"""The careful code of an expression: right for events of every kind, and clear about what it cannot do."""

import ast
import operator
from collections.abc import Callable, Sequence

from headrace.expressions import reading
from headrace.expressions.functions import BUILTINS, PLAIN_FUNCTIONS
from headrace.expressions.patterns import compile_search


def make_careful(tree: ast.expr) -> ast.expr:
    """The tree rewritten to careful code; the tree itself is used up."""
    careful: ast.expr = _MakeCareful().visit(tree)
    return careful


class _WrongTypes(TypeError):
    def __init__(self, operation: str, *values: object) -> None:
        super().__init__(f"{operation} cannot take {', '.join(type(value).__name__ for value in values)}")


class _MakeCareful(ast.NodeTransformer):
    def __init__(self, verb: str = "read") -> None:
        self._verb = verb

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        place = ast.Constant(_place(node.value))
        return _call(f"{self._verb}_field", self.visit(node.value), ast.Constant(node.attr), place)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        place = ast.Constant(_place(node.value))
        node.value, node.slice = self.visit(node.value), self.visit(node.slice)
        if isinstance(node.slice, ast.Slice):
            return node
        return _call(f"{self._verb}_item", node.value, node.slice, place)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        node.left, node.right = self.visit(node.left), self.visit(node.right)
        match node.op:
            case ast.Mult():
                return _call("multiply", node.left, node.right)
            case ast.Mod():
                return _call("remainder", node.left, node.right)
            case _:
                return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(func=ast.Name(id="has" | "default"), args=[path, *rest]):
                node.args = [_later(_MakeCareful("find").visit(path)), *(_later(self.visit(each)) for each in rest)]
            case ast.Call(func=ast.Name(id="coalesce"), args=candidates):
                node.args = [_later(self.visit(candidate)) for candidate in candidates]
            case _:
                node.args = [self.visit(argument) for argument in node.args]
        return node


def _place(node: ast.expr) -> str:
    """How a sentence calls the value that a node reads from."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_place(value)}.{name}"
        case ast.Subscript(value=value, slice=ast.Constant(value=key)):
            return f"{_place(value)}[{key!r}]"
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


CAREFUL_NAMES: dict[str, object] = {
    "__builtins__": BUILTINS,
    **{name: _naming_types(name, function) for name, function in {**PLAIN_FUNCTIONS, "matches": _matches}.items()},
    "matches_python": _naming_types("matches", _matches_python),
    "get": reading.get,
    "has": reading.has,
    "default": reading.default,
    "coalesce": reading.coalesce,
    "read_field": reading.read_field,
    "read_item": reading.read_item,
    "find_field": reading.find_field,
    "find_item": reading.find_item,
    "multiply": _multiply,
    "remainder": _remainder,
}
