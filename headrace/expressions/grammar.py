"""Parses and checks the allowed subset of Python."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from headrace.expressions import explanations
from headrace.expressions.explanations import SIGNATURES, ExpressionError
from headrace.expressions.patterns import USE_PYTHON, PatternError, Regex, compile_search

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ExpressionSource:
    """The text of an expression; `regex` runs its patterns."""

    text: str
    regex: Regex = "re2"

    def parse(self) -> ast.expr:
        """Parse the text with Python's own parser, without checks."""
        if not self.text.strip():
            raise self.error_at(1, "the expression is empty", "write one such as event.name")
        if _DATE.fullmatch(self.text.strip()):
            raise self.error_at(1, *explanations.date(self.text.strip()))
        try:
            return ast.parse(self._code(), mode="eval").body
        except SyntaxError as error:
            raise self._not_python(error) from None
        except ValueError:
            raise self.error_at(1, *explanations.NO_TEXT) from None

    def error(self, node: ast.expr, why: str, hint: str = "") -> ExpressionError:
        """Return an error at a node."""
        line = self._lines()[node.lineno - 1 :][:1]
        before = "".join(line).encode()[: node.col_offset]
        return self.error_at(self._column(node.lineno, len(before.decode(errors="ignore"))), why, hint)

    def error_at(self, column: int, why: str, hint: str = "") -> ExpressionError:
        """Return an error at a column, counted from 1."""
        return ExpressionError(self.text, column, why, hint)

    def check_pattern(self, node: ast.expr) -> None:
        """Raise `ExpressionError` unless the node is a regular expression in quotes."""
        match node:
            case ast.Constant(value=str() as pattern):
                pass
            case _:
                raise self.error(node, *explanations.PATTERN)
        if "\b" in pattern:
            raise self.error(node, *explanations.BACKSPACE)
        try:
            re.compile(pattern)
        except (re.error, OverflowError, ValueError) as error:
            raise self.error(node, f"{error} in the regular expression {pattern!r}") from None
        try:
            compile_search(pattern, self.regex)
        except PatternError as error:
            raise self.error(node, f"the regular expression {pattern!r} {error}", USE_PYTHON) from None

    def _not_python(self, error: SyntaxError) -> ExpressionError:
        if "\0" in self.text:
            return self.error_at(self.text.index("\0") + 1, *explanations.NO_TEXT)
        if not error.offset:
            return self.error_at(len(self.text.rstrip()), "the expression ends too early")
        column = self._column(error.lineno or 1, error.offset - 1)
        return self.error_at(column, error.msg, explanations.syntax_hint(self.text, column))

    def _code(self) -> str:
        # Python counts a lone \r as a line break, and we do not: replacing it by one character keeps the columns right.
        return self.text.strip().replace("\r", " ")

    def _lines(self) -> list[str]:
        return self._code().split("\n")

    def _column(self, line: int, characters: int) -> int:
        indent = len(self.text) - len(self.text.lstrip())
        before = sum(len(one) + 1 for one in self._lines()[: line - 1])
        return min(indent + before + characters, len(self.text) - 1) + 1


MAX_CHARACTERS = 4096
MAX_NODES = 1000
MAX_DEPTH = 64  # each level costs a few Python frames when the tree is rewritten, of 1000 by default

_DIGITS_ALLOWED = range(-20, 21)  # round() computes 10 ** digits, so an event must not choose the digits
_WIDTH_DIGITS = 3  # {x:999} at most: the width of a format takes memory

_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.USub, ast.UAdd, ast.Not)
_FREE = (ast.BoolOp, ast.IfExp, ast.List, ast.Tuple, ast.Set, ast.Subscript, ast.Slice, ast.JoinedStr)
_IDENTITY = (ast.Is, ast.IsNot)


def parse_expression(text: str, regex: Regex = "re2") -> ast.expr:
    """Return the checked tree of an expression. Raises `ExpressionError` for the first node that is not allowed.

    `regex` runs the patterns of `matches`.
    """
    source = ExpressionSource(text, regex)
    if len(text) > MAX_CHARACTERS:
        why = f"the expression has {len(text)} characters, and may have {MAX_CHARACTERS}"
        raise source.error_at(1, why, explanations.USE_A_FUNCTION)
    tree = source.parse()
    _check_size(source, tree)
    for node in walk(tree):
        _check(source, node)
        _spell_out(node, regex)
    return tree


def walk(tree: ast.expr) -> Iterator[ast.expr]:
    """Yield all expression nodes, outermost first and from left to right, without the names of called functions."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(_children(node)))


def path_steps(node: ast.expr) -> tuple[str | int, ...]:
    """Return the steps of a path into the event, `("user", "name")` for `event.user.name`; empty for other nodes."""
    steps: list[str | int] = []
    while not isinstance(node, ast.Name):
        match node:
            case ast.Attribute(value=value, attr=attr):
                steps.append(attr)
            case ast.Subscript(value=value, slice=ast.Constant(value=str() as key)):
                steps.append(key)
            case ast.Subscript(value=value, slice=index) if (number := _whole_number(index)) is not None:
                steps.append(number)
            case _:
                return ()
        node = value
    return tuple(reversed(steps))


def read_fields(tree: ast.expr) -> tuple[str, ...]:
    """Return the top-level fields of the event that the tree reads by name, each once, in their order."""
    found: dict[str, None] = {}
    for node in walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(), attr=str() as name):
                found[name] = None
            case ast.Subscript(value=ast.Name(), slice=ast.Constant(value=str() as name)):
                found[name] = None
            case ast.Call(func=ast.Name(id="get"), args=[ast.Name(), ast.Constant(value=str() as name), *_]):
                found[name] = None
            case _:
                pass
    return tuple(found)


def _children(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.Call):
        return node.args
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def _check_size(source: ExpressionSource, tree: ast.expr) -> None:
    count = 0
    level = [tree]
    for _ in range(MAX_DEPTH):
        count += len(level)
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    if level:
        raise source.error(level[0], f"the expression is nested deeper than {MAX_DEPTH}", explanations.USE_A_FUNCTION)
    if count > MAX_NODES:
        raise source.error_at(
            1, f"the expression has {count} parts, and may have {MAX_NODES}", explanations.USE_A_FUNCTION
        )


def _check(source: ExpressionSource, node: ast.expr) -> None:
    match node:
        case _ if isinstance(node, _FREE):
            pass
        case ast.Name(id="event") | ast.Constant(value=str() | int() | float() | None):
            pass
        case ast.Attribute(attr=name) if not name.startswith("_"):
            pass
        case ast.Dict(keys=keys) if None not in keys:
            pass
        case ast.UnaryOp(op=op) if isinstance(op, _OPERATORS):
            pass
        case ast.BinOp(op=op) if isinstance(op, _OPERATORS):
            _check_repetition(source, node)
        case ast.Compare():
            _check_identity(source, node)
        case ast.FormattedValue():
            _check_format(source, node)
        case ast.Call(func=ast.Name(id=name)) if name in SIGNATURES:
            _check_call(source, node, name)
        case _:
            raise source.error(node, *explanations.explain(node))


def _check_repetition(source: ExpressionSource, node: ast.BinOp) -> None:
    operands = (node.left, node.right) if isinstance(node.op, ast.Mult) else (node.left,)
    if not isinstance(node.op, ast.Mult | ast.Mod):
        return
    for operand in operands:
        match operand:
            case ast.Constant(value=str()) | ast.JoinedStr() | ast.List() | ast.Tuple():
                raise source.error(node, *explanations.NO_REPETITION)
            case _:
                pass


def _check_identity(source: ExpressionSource, node: ast.Compare) -> None:
    for op, right in zip(node.ops, node.comparators, strict=True):
        match right:
            case ast.Constant(value=None | True | False):
                pass
            case _ if isinstance(op, _IDENTITY):
                raise source.error(right, *explanations.IDENTITY)
            case _:
                pass


def _check_format(source: ExpressionSource, node: ast.FormattedValue) -> None:
    if node.conversion != -1:
        raise source.error(node.value, *explanations.CONVERSION)
    match node.format_spec:
        case None:
            return
        case ast.JoinedStr(values=[ast.Constant(value=str() as spec)]):
            runs = "".join(c if c.isdecimal() else " " for c in spec).split()
            if all(len(run) <= _WIDTH_DIGITS for run in runs):
                return
        case _:
            pass
    raise source.error(node.value, *explanations.FORMAT)


def _check_call(source: ExpressionSource, node: ast.Call, name: str) -> None:
    signature = SIGNATURES[name]
    if node.keywords:
        raise source.error(node, f"{name}() takes no named arguments", f"write {signature.usage}")
    if not signature.takes(len(node.args)):
        found = f"{len(node.args)} argument{'s' if len(node.args) != 1 else ''}"
        raise source.error(node, f"{name}() cannot be called with {found}", f"write {signature.usage}")
    match node:
        case ast.Call(args=[path, *_]) if name in {"has", "default"} and not path_steps(path):
            raise source.error(path, *explanations.no_path(name))
        case ast.Call(args=[_, pattern]) if name == "matches":
            source.check_pattern(pattern)
        case ast.Call(args=[_, digits]) if name == "round" and _whole_number(digits) not in _DIGITS_ALLOWED:
            raise source.error(digits, *explanations.DIGITS)
        case _:
            pass


def _spell_out(node: ast.expr, regex: Regex) -> None:
    """Rewrite `coalesce(event.a, x)` as `coalesce(default(event.a, None), x)`.

    `matches` becomes `matches_python` if Python runs the patterns.
    """
    match node:
        case ast.Call(func=ast.Name(id="matches") as function) if regex == "python":
            function.id = "matches_python"
        case ast.Call(func=ast.Name(id="coalesce"), args=arguments):
            node.args = [_or_none(argument) if path_steps(argument) else argument for argument in arguments]
        case _:
            pass


def _or_none(path: ast.expr) -> ast.expr:
    spelled = ast.Call(ast.Name("default", ast.Load()), [path, ast.Constant(None)], [])
    return ast.fix_missing_locations(ast.copy_location(spelled, path))


def _whole_number(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
            return -number
        case _:
            return None
