"""Splits bytes into lines of text, whatever the pieces in which the bytes come."""

from dataclasses import dataclass
from typing import Final

from headrace.units import format_size

BOM: Final = b"\xef\xbb\xbf"
"""What some editors put before the first line of a UTF-8 file; it is no part of the text."""


@dataclass(frozen=True, slots=True)
class NoText:
    """Stands for a line that is no text; `why` says so in words that follow the line's place."""

    why: str


SplitLine = str | NoText


class LineSplitter:
    """The lines of one file, without the line feeds that end them, for as long as bytes of it come.

    Holds at most `max_bytes` of a line that has not ended; a longer one becomes one `NoText`, and so does a line that
    is not UTF-8.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._is_begun = False

    @property
    def has_rest(self) -> bool:
        """Whether a line has begun and not ended."""
        return self._size > 0

    @property
    def rest_bytes(self) -> int:
        """How many bytes the line has so far that has begun and not ended."""
        return self._size

    def split(self, data: bytes) -> list[SplitLine]:
        """Take in more bytes; return the lines that end in them."""
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
        """Return the last line, if the file does not end with a line break; the next bytes are another file's."""
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
        """Return the line that has ended, or None when it was too long."""
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
    """Decode many lines in one step, which is several times as fast; one by one where that fails."""
    try:
        return list[SplitLine](b"\n".join(lines).decode().split("\n"))
    except UnicodeDecodeError:
        return [_text(line) for line in lines]


def _text(line: bytes) -> SplitLine:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        return NoText(f"the line is not UTF-8 (byte {error.start + 1}: 0x{line[error.start]:02x})")
