"""The fast code of an expression: correct for events made of dicts, and as fast as hand-written Python.

It may fail on events of other kinds and on missing keys; then the checked code decides. It must never succeed with
another value than the checked code.
"""

import ast
from functools import reduce

from typing_extensions import override

from headrace.expressions.explanations import BUILTINS, PLAIN_FUNCTIONS
from headrace.expressions.grammar import path_steps
from headrace.expressions.patterns import Regex, compile_search


def new_names() -> dict[str, object]:
    """Return the names that fast code uses; `compile_fast` adds the patterns of `matches`."""
    # Unbound methods of dict raise TypeError for any object that is not a dict, even if it has its own `get`.
    return {"__builtins__": BUILTINS, **PLAIN_FUNCTIONS, "get": dict.get, "has": dict.__contains__, "first": _first}


def compile_fast(tree: ast.expr, names: dict[str, object]) -> ast.expr:
    """Return the tree as fast code, which runs with `names`. It reuses the nodes of the given tree."""
    quick: ast.expr = _FastCompiler(names).visit(tree)
    return quick


class _FastCompiler(ast.NodeTransformer):
    def __init__(self, names: dict[str, object]) -> None:
        self._names = names

    @override
    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return _item(self.visit(node.value), node.attr)

    @override
    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        node.left, node.right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Mult | ast.Mod):
            node.left = _number(node.left)
        if isinstance(node.op, ast.Mult):
            node.right = _number(node.right)
        return node

    @override
    def visit_Call(self, node: ast.Call) -> ast.expr:
        steps = path_steps(node.args[0])
        node.args = [self.visit(argument) for argument in node.args]
        match node:
            case ast.Call(func=ast.Name(id="matches"), args=[text, ast.Constant(value=str() as pattern)]):
                return self._matches(text, pattern, "re2")
            case ast.Call(func=ast.Name(id="matches_python"), args=[text, ast.Constant(value=str() as pattern)]):
                return self._matches(text, pattern, "python")
            case ast.Call(func=ast.Name(id="has")):
                return _has(steps)
            case ast.Call(func=ast.Name(id="default"), args=[path, fallback]):
                return _default(path, steps, fallback)
            case ast.Call(func=ast.Name(id="coalesce"), args=[*firsts, last]):
                return reduce(lambda rest, first: _call("first", first, rest), reversed(firsts), last)
            case _:
                return node

    def _matches(self, text: ast.expr, pattern: str, regex: Regex) -> ast.expr:
        name = f"pattern{len(self._names)}"
        self._names[name] = compile_search(pattern, regex)
        return _call(name, text)


def _number(node: ast.expr) -> ast.expr:
    """Return the same number: a + before it refuses text and lists, which `*` would repeat and `%` would format."""
    match node:
        case ast.Constant() | ast.UnaryOp() | ast.Call(func=ast.Name(id="int" | "float" | "len")):
            return node
        case ast.BinOp(op=ast.Sub() | ast.Mult() | ast.Div() | ast.FloorDiv() | ast.Mod()):
            return node
        case _:
            return ast.UnaryOp(ast.UAdd(), node)


def _item(value: ast.expr, key: str | int) -> ast.expr:
    return ast.Subscript(value, ast.Constant(key), ast.Load())


def _call(function: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(function, ast.Load()), list(arguments), [])


def _path(steps: tuple[str | int, ...]) -> ast.expr:
    event: ast.expr = ast.Name("event", ast.Load())
    return reduce(_item, steps, event)


def _has(steps: tuple[str | int, ...]) -> ast.expr:
    guards: list[ast.expr] = [
        _call("has", _path(steps[:depth]), ast.Constant(step)) for depth, step in enumerate(steps)
    ]
    return guards[0] if len(guards) == 1 else ast.BoolOp(ast.And(), guards)


def _default(path: ast.expr, steps: tuple[str | int, ...], fallback: ast.expr) -> ast.expr:
    if len(steps) == 1 and isinstance(fallback, ast.Constant):
        return _call("get", _path(()), ast.Constant(steps[0]), fallback)
    return ast.IfExp(_has(steps), path, fallback)


def _first(value: object, rest: object) -> object:
    return rest if value is None else value
