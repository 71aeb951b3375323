"""TOML into tokens: tomllib judges and reads the text, a scanner finds where its keys and values stand."""

import re
import tomllib
from collections.abc import Iterator

from headrace.config.text.assembly import MAX_DEPTH, Closing, Leaf, Opening, Token
from headrace.config.text.findings import Fault
from headrace.config.text.nodes import Path, ScalarNode
from headrace.config.text.source import START, Report, Span

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SKIP = re.compile(r"(?:[\s,]|#[^\n]*)*")
_STRING = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]+")


def toml_tokens(report: Report) -> Iterator[Token]:
    """Yield the tokens of the report's source; raises ConfigError where the text is not TOML."""
    text = report.source.text
    if not text.strip():
        return
    values = _parsed(text, report.source.starts)
    if isinstance(values, tuple):
        raise report.refusal(*values)
    scanner = _Scanner(text)
    scanner.scan()
    yield from _toml_tokens(values, (), scanner, report)


def _parsed(text: str, starts: tuple[int, ...]) -> dict[str, object] | tuple[Span, Fault]:
    """Return the values, or where the text is not TOML and why."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        return START, Fault("too-large", f"the config nests deeper than {MAX_DEPTH} levels")
    except ValueError as error:
        said = str(error)
        at = _AT.search(said)
        offset = starts[int(at[1]) - 1] + int(at[2]) - 1 if at and at[1] else len(text.rstrip()) if at else 0
        message = said[: at.start()] if at else said
        return Span(offset, offset + 1), Fault("syntax", f"the text is not TOML: {message[:1].lower()}{message[1:]}")


def _toml_tokens(value: object, path: Path, scanner: "_Scanner", report: Report) -> Iterator[Token]:
    span = scanner.values.get(path) or scanner.keys.get(path) or START
    if len(path) > MAX_DEPTH:
        raise report.refusal(span, Fault("too-large", f"the config nests deeper than {MAX_DEPTH} levels"))
    if isinstance(value, dict):
        yield Opening(span.start, is_map=True)
        for key, below in value.items():
            place = scanner.keys.get((*path, key), span)
            yield Leaf(ScalarNode(place, key, plain=False, value=key))
            yield from _toml_tokens(below, (*path, key), scanner, report)
        yield Closing(span.end)
    elif isinstance(value, list):
        yield Opening(span.start, is_map=False)
        for index, below in enumerate(value):
            yield from _toml_tokens(below, (*path, index), scanner, report)
        yield Closing(span.end)
    else:
        plain = value if isinstance(value, str | int | float) else str(value)
        yield Leaf(ScalarNode(span, str(value), plain=False, value=plain))


class _Scanner:
    """Finds the places in a text that tomllib has read, so it only has to tell the parts apart."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.keys: dict[Path, Span] = {}
        self.values: dict[Path, Span] = {}
        self.tables: dict[Path, int] = {}

    def scan(self) -> None:
        table: Path = ()
        while self._skip() < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _skip(self) -> int:
        match = _SKIP.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def _header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]`, and return the path of the table that begins."""
        start = self.at
        is_array = self.text.startswith("[[", start)
        self.at += 2 if is_array else 1
        path = self._path(())
        self.at += 2 if is_array else 1
        if is_array:
            self.tables[path] = self.tables.get(path, -1) + 1
            path = (*path, self.tables[path])
        self.values.setdefault(path, Span(start, self.at))
        return path

    def _pair(self, table: Path) -> None:
        path = self._path(table)
        self._skip()
        self.at += 1  # the equals sign
        self._value(path)

    def _path(self, table: Path) -> Path:
        """Read a dotted key; every part of it gets its place."""
        path = table
        while True:
            self._skip()
            span, key = self._key()
            path = (*path, key)
            self.keys.setdefault(path, span)
            path = (*path, self.tables[path]) if path in self.tables and self._ahead(".") else path
            if not self._ahead("."):
                return path
            self._skip()
            self.at += 1

    def _ahead(self, sign: str) -> bool:
        match = _SKIP.match(self.text, self.at)
        return self.text.startswith(sign, match.end() if match else self.at)

    def _key(self) -> tuple[Span, str]:
        start = self.at
        quoted = _STRING.match(self.text, start)
        if quoted:
            self.at = quoted.end()
            return Span(start, self.at), next(iter(tomllib.loads(f"{quoted[0]} = 1")))
        bare = _BARE_KEY.match(self.text, start)
        self.at = bare.end() if bare else start + 1
        return Span(start, self.at), self.text[start : self.at]

    def _value(self, path: Path) -> None:
        start = self._skip()
        sign = self.text[start : start + 1]
        if sign in {"[", "{"}:
            self.at += 1
            self._inside(path, "]" if sign == "[" else "}")
        else:
            match = _STRING.match(self.text, start) or _BARE_VALUE.match(self.text, start)
            written = match[0].rstrip() if match else ""
            self.at = start + max(1, len(written))
        self.values[path] = Span(start, self.at)

    def _inside(self, path: Path, end: str) -> None:
        index = 0
        while self._skip() < len(self.text) and self.text[self.at] != end:
            if end == "]":
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
        self.at += 1
