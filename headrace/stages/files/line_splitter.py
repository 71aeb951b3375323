"""Splits bytes into lines of text."""

from dataclasses import dataclass
from typing import Final

from headrace.units import format_size

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark that some editors write before a UTF-8 text; it is no part of the text."""


@dataclass(frozen=True, slots=True)
class NoText:
    """A line that is no text. `why` is the reason, which follows the line number in a message."""

    why: str


SplitLine = str | NoText


class LineSplitter:
    """Splits the bytes of a file, as they arrive, into lines without line feeds.

    Holds at most `max_bytes` of an unfinished line. A longer line becomes one `NoText`, and so does a line that is not
    UTF-8.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._is_begun = False

    @property
    def has_rest(self) -> bool:
        """Whether there is an unfinished line."""
        return self._size > 0

    @property
    def rest_bytes(self) -> int:
        """Bytes of the unfinished line."""
        return self._size

    def split(self, data: bytes) -> list[SplitLine]:
        """Add bytes; return the lines that end in them."""
        lines = data.split(b"\n")
        self._put(lines[0])
        if len(lines) == 1:
            return []
        first, rest = self._take(), lines.pop()
        self._put(rest)
        if first is None or max(map(len, lines)) > self._max_bytes:
            return [self._line(first), *map(self._line, lines[1:])]
        lines[0] = first
        return _texts(lines)

    def end(self) -> list[SplitLine]:
        """Return the last line, if the file does not end with a line break; the next bytes belong to another file."""
        is_open = self.has_rest
        line = self._take()
        self._is_begun = False
        return [self._line(line)] if is_open and line != b"" else []

    def _put(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._max_bytes:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _take(self) -> bytes | None:
        """Return the finished line, or None when it was too long."""
        line = b"".join(self._parts) if self._size <= self._max_bytes else None
        self._parts.clear()
        self._size = 0
        if line is not None and not self._is_begun:
            line = line.removeprefix(BOM)
        self._is_begun = True
        return line

    def _line(self, line: bytes | None) -> SplitLine:
        if line is None or len(line) > self._max_bytes:
            return NoText(f"the line is longer than {format_size(self._max_bytes)} (max_line_bytes)")
        return _text(line)


def _texts(lines: list[bytes]) -> list[SplitLine]:
    """Decode all lines in one step, which is several times faster; one by one where that fails."""
    try:
        return list[SplitLine](b"\n".join(lines).decode().split("\n"))
    except UnicodeDecodeError:
        return [_text(line) for line in lines]


def _text(line: bytes) -> SplitLine:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        return NoText(f"the line is not UTF-8 (byte {error.start + 1}: 0x{line[error.start]:02x})")
