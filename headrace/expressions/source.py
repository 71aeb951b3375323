"""The text of an expression: parsed once, and asked for columns when something in it must be named."""

import ast
import re
from dataclasses import dataclass

from headrace.expressions import refusals
from headrace.expressions.errors import ExpressionError
from headrace.expressions.patterns import USE_PYTHON, PatternError, Regex, compile_search

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """An expression as it was written; `regex` runs its patterns."""

    text: str
    regex: Regex = "re2"

    def parse(self) -> ast.expr:
        """Python's own tree of the text, nothing in it checked yet."""
        if not self.text.strip():
            raise self.error_at(1, "the expression is empty", "write one such as event.name")
        if _DATE.fullmatch(self.text.strip()):
            raise self.error_at(1, *refusals.date(self.text.strip()))
        try:
            return ast.parse(self._code(), mode="eval").body
        except SyntaxError as error:
            raise self._not_python(error) from None
        except ValueError:
            raise self.error_at(1, *refusals.NO_TEXT) from None

    def error(self, node: ast.expr, why: str, hint: str = "") -> ExpressionError:
        """A finding at a node."""
        line = self._lines()[node.lineno - 1 :][:1]
        before = "".join(line).encode()[: node.col_offset]
        return self.error_at(self._column(node.lineno, len(before.decode(errors="ignore"))), why, hint)

    def error_at(self, column: int, why: str, hint: str = "") -> ExpressionError:
        """A finding at a column, counted from 1."""
        return ExpressionError(self.text, column, why, hint)

    def check_pattern(self, node: ast.expr) -> None:
        """Refuse what is not a regular expression in quotes."""
        match node:
            case ast.Constant(value=str() as pattern):
                pass
            case _:
                raise self.error(node, *refusals.PATTERN)
        if "\b" in pattern:
            raise self.error(node, *refusals.BACKSPACE)
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
            return self.error_at(self.text.index("\0") + 1, *refusals.NO_TEXT)
        if not error.offset:
            return self.error_at(len(self.text.rstrip()), "the expression ends too early")
        column = self._column(error.lineno or 1, error.offset - 1)
        return self.error_at(column, error.msg, refusals.syntax_hint(self.text, column))

    def _code(self) -> str:
        # Python counts a lone \r as a line break and we do not: one character for one keeps the columns right.
        return self.text.strip().replace("\r", " ")

    def _lines(self) -> list[str]:
        return self._code().split("\n")

    def _column(self, line: int, characters: int) -> int:
        indent = len(self.text) - len(self.text.lstrip())
        before = sum(len(one) + 1 for one in self._lines()[: line - 1])
        return min(indent + before + characters, len(self.text) - 1) + 1
