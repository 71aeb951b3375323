"""Regular expressions of configs: written for Python, and run by RE2, so that no event takes more than linear time."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, Literal

import re2

Regex = Literal["re2", "python"]
"""The engine for the patterns of a config. Python's `re` knows more, and may take for ever over one event."""

Search = Callable[[str], bool]
"""Returns whether a pattern is found anywhere in a text. Raises TypeError for other types."""

USE_PYTHON: Final = "rewrite it, or write `regex: python` at the top of the config: then one event can freeze the run"

_MAX_REPEAT: Final = 1000
_I: Final = "Ii\u0130\u0131"
"""One letter for Python when case is ignored; RE2 keeps the two Turkish letters apart."""
_ALPHANUMERIC: Final = r"\p{L}\p{N}_"  # the characters of str.isalnum(), and _
_SPACE: Final = r"\x09-\x0d\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_NO_SPACE: Final = (
    r"\x00-\x08\x0e-\x1b\x21-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}"
    r"\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}"
)
_UNICODE_SETS: Final = {"d": r"\p{Nd}", "D": r"\P{Nd}", "w": _ALPHANUMERIC, "s": _SPACE, "S": _NO_SPACE}
_ASCII_SETS: Final = {symbol: f"\\{symbol}" for symbol in "dDw"} | {
    "s": r"\x09-\x0d\x20",
    "S": r"\x00-\x08\x0e-\x1f\x21-\x{10ffff}",
    "W": r"\W",
}
_CONTROLS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

_OCTAL: Final = re.compile(r"0[0-7]{0,2}|[0-3][0-7]{2}")
_OCTAL_IN_SET: Final = re.compile(r"[0-7]{1,3}")
_CODE: Final = re.compile(r"x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}")
_NAMED: Final = re.compile(r"N\{([^}]*)\}")
_REPEAT: Final = re.compile(r"[*+?]|\{(?!\})([0-9]*)(,?)([0-9]*)\}")
_FLAGS: Final = re.compile(r"\(\?([aiLmsux]*)(?:-([imsx]+))?([:)])")
_LACKING: Final = {
    "(?=": "a lookahead",
    "(?!": "a lookahead",
    "(?<=": "a lookbehind",
    "(?<!": "a lookbehind",
    "(?P=": "a back-reference",
    "(?(": "a conditional group",
    "(?>": "an atomic group",
    "(?#": "a comment",
}


class PatternError(ValueError):
    """RE2 cannot run a pattern that Python's `re` could. The message follows a name of the pattern in a sentence."""


def compile_search(pattern: str, regex: Regex = "re2") -> Search:
    r"""Return a function that searches a pattern, which must be valid for Python's `re`.

    RE2 finds the same as `re`, with two differences: `\b` and `\B` know ASCII words only, and nothing may follow a `$`
    that stands before a last line break. Raises `PatternError` for a pattern that RE2 lacks.

    >>> compile_search(r"^\w+$")("grün")
    True
    """
    return _searcher(pattern) if regex == "re2" else partial(_search_python, re.compile(pattern))


def _search_python(compiled: re.Pattern[str], text: str) -> bool:
    return compiled.search(text) is not None


@lru_cache(maxsize=1000)
def _searcher(pattern: str) -> Search:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        compiled = re2.compile(_Translation(pattern).run(), options)
    except re2.error as error:
        cause = error.args[0]
        why = f"is refused by RE2 ({cause.decode(errors='replace') if isinstance(cause, bytes) else cause})"
        raise PatternError(why) from None
    # `compiled.search` makes a Match with offsets in characters: four times as slow for a short text.
    match, anywhere = compiled._regexp.Match, re2._Anchor.UNANCHORED  # noqa: SLF001 - see above

    def search(text: str) -> bool:
        try:
            encoded = str.encode(text)
        except UnicodeEncodeError:  # half of a surrogate pair: allowed in JSON, not in UTF-8
            encoded = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        spans: list[tuple[int, int]] = match(anywhere, encoded, 0, len(encoded))
        return spans[0][0] >= 0

    return search


@dataclass(frozen=True, slots=True)
class _Scope:
    is_multiline: bool = False
    is_ascii: bool = False
    is_caseless: bool = False


class _Translation:
    """Translates a valid pattern of Python's `re` for RE2."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._scopes = [_Scope()]
        self._special: Final[dict[str, Callable[[], str]]] = {
            "\\": self._escape,
            "[": self._class,
            "(": self._group,
            ")": self._group_end,
            "$": self._text_end,
            **dict.fromkeys("*+?{", self._repeat),
        }

    def run(self) -> str:
        """Return the pattern for RE2. Raises `PatternError`."""
        parts: list[str] = []
        while self._at < len(self._pattern):
            parts.append(self._next())
        return "".join(parts)

    def _next(self) -> str:
        sign = self._pattern[self._at]
        if sign in self._special:
            return self._special[sign]()
        self._at += 1
        return sign if sign in "^.|" else self._literal(sign)

    def _literal(self, character: str) -> str:
        if self._scopes[-1].is_caseless and character in _I:
            return f"[{_codes(_I)}]"
        return character if character.isascii() and character.isalnum() else _code(character)

    def _group_end(self) -> str:
        self._at += 1
        self._scopes.pop()
        return ")"

    def _text_end(self) -> str:
        self._at += 1
        return "$" if self._scopes[-1].is_multiline else r"(?:\n?\z)"

    def _sets(self) -> dict[str, str]:
        return _ASCII_SETS if self._scopes[-1].is_ascii else _UNICODE_SETS

    def _escape(self) -> str:
        symbol = self._pattern[self._at + 1]
        character = self._escaped_character()
        if character is not None:
            return self._literal(character)
        self._at += 2
        if symbol in "AbB":
            return f"\\{symbol}"
        if symbol in "Zz":
            return r"\z"
        return f"[^{_ALPHANUMERIC}]" if symbol == "W" and symbol not in self._sets() else f"[{self._sets()[symbol]}]"

    def _escaped_character(self, *, is_in_class: bool = False) -> str | None:
        """Return the one character that an escape stands for, and go on after it; None for other escapes."""
        pattern, begin = self._pattern, self._at + 1
        symbol = pattern[begin]
        if found := (_OCTAL_IN_SET if is_in_class else _OCTAL).match(pattern, begin):
            character = chr(int(found[0], 8))
        elif found := _CODE.match(pattern, begin):
            character = chr(int(found[0][1:], 16))
        elif found := _NAMED.match(pattern, begin):
            character = unicodedata.lookup(found[1])
        elif symbol.isdecimal():
            why = "has a back-reference, which RE2 lacks"
            raise PatternError(why)
        elif symbol in _CONTROLS and (symbol != "b" or is_in_class):
            character = _CONTROLS[symbol]
        elif symbol.isascii() and symbol.isalpha():
            return None
        else:
            character = symbol
        self._at = begin + (1 if found is None else len(found[0]))
        return character

    def _class(self) -> str:
        r"""Return a set of characters, or an alternation if it contains `\W`, for which RE2 has no name."""
        self._at += 1
        is_negated = self._pattern.startswith("^", self._at)
        self._at += is_negated
        items: list[str] = []
        has_negated_class = False
        while self._pattern[self._at] != "]" or not (items or has_negated_class):
            item = self._class_item()
            if item is None:
                has_negated_class = True
            else:
                items.append(item)
        self._at += 1
        inside = "".join(items)
        if not has_negated_class:
            return f"[{'^' if is_negated else ''}{inside}]"
        if is_negated:
            why = r"has \W in a negated set, which RE2 lacks"
            raise PatternError(why)
        return f"(?:[{inside}]|[^{_ALPHANUMERIC}])" if inside else f"[^{_ALPHANUMERIC}]"

    def _class_item(self) -> str | None:
        r"""Return one item of a set; None for `\W` of Unicode."""
        first = self._class_character()
        if first is None:
            symbol = self._pattern[self._at - 1]
            return self._sets().get(symbol)
        if self._pattern[self._at] == "-" and self._pattern[self._at + 1] != "]":
            self._at += 1
            last = self._class_character() or ""
            return f"{_code(first)}-{_code(last)}{self._other_cases(first, last)}"
        return _code(first) + self._other_cases(first, first)

    def _other_cases(self, first: str, last: str) -> str:
        is_hit = self._scopes[-1].is_caseless and any(first <= symbol <= last for symbol in _I)
        return _codes(_I) if is_hit else ""

    def _class_character(self) -> str | None:
        """Return the next character of a set; None after the name of a set."""
        character = self._pattern[self._at]
        if character != "\\":
            self._at += 1
            return character
        escaped = self._escaped_character(is_in_class=True)
        if escaped is None:
            self._at += 2
        return escaped

    def _group(self) -> str:
        pattern, at = self._pattern, self._at
        for opening, name in _LACKING.items():
            if pattern.startswith(opening, at):
                why = f"has {name}, which RE2 lacks"
                raise PatternError(why)
        if flags := _FLAGS.match(pattern, at):
            return self._flags(flags)
        self._scopes.append(self._scopes[-1])
        end = pattern.index(">", at) + 1 if pattern.startswith("(?P<", at) else at + 1
        self._at = end
        return pattern[at:end]

    def _flags(self, found: re.Match[str]) -> str:
        on, off, end = found[1], found[2] or "", found[3]
        if "x" in on:
            why = "is verbose (x), which RE2 lacks"
            raise PatternError(why)
        outer = self._scopes[-1]
        inner = _Scope(
            is_multiline=(outer.is_multiline or "m" in on) and "m" not in off,
            is_ascii=(outer.is_ascii or "a" in on) and "u" not in on,
            is_caseless=(outer.is_caseless or "i" in on) and "i" not in off,
        )
        if inner.is_ascii and inner.is_caseless:
            why = "ignores the case of ASCII letters alone (a with i), which RE2 lacks"
            raise PatternError(why)
        if end == ")":
            self._scopes[-1] = inner
        else:
            self._scopes.append(inner)
        self._at += len(found[0])
        known = "".join(flag for flag in on if flag in "ims")
        without = off.replace("x", "")
        if not known and not without:
            return "(?:" if end == ":" else ""
        return f"(?{known}{'-' if without else ''}{without}{end}"

    def _repeat(self) -> str:
        found = _REPEAT.match(self._pattern, self._at)
        if found is None:
            self._at += 1
            return r"\{"
        self._at += len(found[0])
        if self._pattern.startswith("+", self._at):
            why = "has a possessive repetition, which RE2 lacks"
            raise PatternError(why)
        if not found[0].startswith("{"):
            return found[0]
        if max(int(found[1] or 0), int(found[3] or 0)) > _MAX_REPEAT:
            why = f"repeats more than {_MAX_REPEAT} times, which RE2 does not"
            raise PatternError(why)
        return f"{{{found[1] or 0}{found[2]}{found[3]}}}"


def _code(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        why = "has half of a surrogate pair, which RE2 lacks"
        raise PatternError(why)
    return f"\\x{{{ord(character):x}}}"


def _codes(characters: str) -> str:
    return "".join(map(_code, characters))
