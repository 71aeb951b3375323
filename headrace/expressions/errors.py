"""What can be wrong with an expression: its text, or the event that it meets.

::

    HeadraceError
    ├── ExpressionError          the text is not in the language
    └── EvaluationError          an event does not fit the expression
        └── MissingFieldError    it lacks a field or an item
"""

from headrace.errors import HeadraceError

_SHOWN_CHARACTERS = 120  # one line of a log


class ExpressionError(HeadraceError):
    """A text is not in the expression language.

    `column` counts the characters of `text` from 1, line breaks included. `why` says what was found, `hint` what to
    write instead (or is empty). `path` leads to the text inside a template and is empty outside one.
    """

    def __init__(self, text: str, column: int, why: str, hint: str = "", *, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(text, column, why, hint)
        self.text = text
        self.column = column
        self.why = why
        self.hint = hint
        self.path = path

    def __str__(self) -> str:
        where = f" at {'.'.join(map(str, self.path))}" if self.path else ""
        return _sentence(f"{self.why} in {_shown(self.text, self.column)}, column {self.column}{where}", self.hint)

    def within(self, *outer: str | int) -> "ExpressionError":
        """The same finding, with the steps that lead to it from further out."""
        return ExpressionError(self.text, self.column, self.why, self.hint, path=(*outer, *self.path))


class EvaluationError(HeadraceError):
    """An event does not fit the expression `text`; `why` and `hint` are as in `ExpressionError`."""

    def __init__(self, text: str, why: str, hint: str = "") -> None:
        super().__init__(text, why, hint)
        self.text = text
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return _sentence(f"{self.why} in {self.text!r}", self.hint)  # uncut: half a secret could not be redacted


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
