"""Lines into events: text, JSON, CSV."""

import csv
import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice
from typing import Final, Literal, NoReturn, Protocol, cast

from typing_extensions import override

from headrace.stages.files.chunks import FileChunk
from headrace.stages.files.line_splitter import LineSplitter, NoText, SplitLine
from headrace.units import format_size


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that gave no event (a CSV record: its first line), with the reason and the number of events before it."""

    number: int
    why: str
    events_before: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """Events and refused lines, each in the order of the lines."""

    events: list[object] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, number: int, why: str) -> None:
        """Add a line that gives no event, after the events so far."""
        self.refused.append(Refused(number, why, len(self.events)))

    def add(self, later: "Decoded") -> None:
        """Append the events and refused lines of later lines."""
        for refused in later.refused:
            self.refused.append(replace(refused, events_before=refused.events_before + len(self.events)))
        self.events.extend(later.events)


class LineDecoder(Protocol):
    """Decodes the lines of one file, in order."""

    def decode(self, lines: list[SplitLine], first_number: int) -> Decoded:
        """Decode the next lines; `first_number` is the number of the first one, from 1. Never raises."""

    def end(self) -> Decoded:
        """Decode the lines that were held back, by default none: the file has ended."""
        return Decoded()


class NotDecodable(ValueError):
    """One line cannot be decoded; its text is the reason."""


def decode_each(lines: list[SplitLine], first_number: int, decode: Callable[[str], list[object]]) -> Decoded:
    """Decode line by line; refuse only the lines that raise `NotDecodable`, and those without text."""
    decoded = Decoded()
    for number, line in enumerate(lines, first_number):
        if isinstance(line, NoText):
            decoded.refuse(number, line.why)
            continue
        try:
            decoded.events.extend(decode(line))
        except NotDecodable as error:
            decoded.refuse(number, str(error))
    return decoded


class TextDecoder(LineDecoder):
    """An event is the line as text, without its line break; an empty line is an event."""

    @override
    def decode(self, lines: list[SplitLine], first_number: int) -> Decoded:
        try:
            has_returns = "\r" in "".join(cast("list[str]", lines))
        except TypeError:  # some lines are no text
            return decode_each(lines, first_number, _without_return)
        if has_returns:
            return decode_each(lines, first_number, _without_return)
        return Decoded(list[object](lines))


def _without_return(line: str) -> list[object]:
    return [line.removesuffix("\r")]


OPEN_QUOTE: Final = "unexpected end of data"
"""The error of csv when a quote is still open after the last line."""


class CsvDecoder(LineDecoder):
    """An event is a dict of texts. Its keys are `names`, or else the first record of the file.

    Fields are separated by `delimiter`; a quoted field may hold line breaks (RFC 4180). Empty lines are
    skipped. A record must have as many fields as the header. Lines inside an open quote are held, up to `max_bytes`.
    """

    def __init__(self, max_bytes: int, delimiter: str = ",", names: Sequence[str] = ()) -> None:
        self._max_bytes = max_bytes
        self._delimiter = delimiter
        self._names = list(names)
        self._header = self._names
        self._wrong_header = ""
        self._open: list[str] = []
        self._open_number = 0

    @override
    def decode(self, lines: list[SplitLine], first_number: int) -> Decoded:
        decoded = Decoded()
        if not self._open:
            self._open_number = first_number
        for number, line in enumerate(lines, first_number):
            if isinstance(line, NoText):
                self._read(decoded)
                self._refuse_open_record(decoded)
                decoded.refuse(number, line.why)
                self._open_number = number + 1
            else:
                self._open.append(line + "\n")
        self._read(decoded)
        while sum(map(len, self._open)) > self._max_bytes:
            why = f"a quote opens here and is not closed within {format_size(self._max_bytes)} (max_line_bytes)"
            self._skip_open(decoded, why)
        return decoded

    @override
    def end(self) -> Decoded:
        decoded = Decoded()
        self._refuse_open_record(decoded)
        self._header, self._wrong_header = self._names, ""
        return decoded

    def _refuse_open_record(self, decoded: Decoded) -> None:
        while self._open:
            self._skip_open(decoded, "a quote opens here and is never closed")

    def _skip_open(self, decoded: Decoded, why: str) -> None:
        """Refuse the line in which the open quote begins, and read the lines after it again."""
        decoded.refuse(self._open_number, why)
        del self._open[0]
        self._open_number += 1
        self._read(decoded)

    def _read(self, decoded: Decoded) -> None:
        """Read the open lines; keep the lines of a record that has not ended."""
        lines, number = self._open, self._open_number
        self._open = []
        if self._read_plain(lines, decoded):
            return
        reader = csv.reader(lines, strict=True, delimiter=self._delimiter)
        while (begin := reader.line_num) < len(lines):
            try:
                row = next(reader)
            except csv.Error as error:
                if reader.line_num == len(lines) and str(error) == OPEN_QUOTE:
                    self._open, self._open_number = lines[begin:], number + begin
                    return
                decoded.refuse(number + begin, f"the line is not CSV ({error})")
            else:
                self._take(row, number + begin, decoded)

    def _read_plain(self, lines: list[str], decoded: Decoded) -> bool:
        """Read lines without quotes in one step; return False, with nothing done, where a line needs more."""
        header = self._header
        if not header or '"' in "".join(lines):
            return False
        try:
            rows = list(csv.reader(lines, strict=True, delimiter=self._delimiter))
        except csv.Error:
            return False
        if set(map(len, rows)) != {len(header)}:
            return False
        decoded.events.extend([dict(zip(header, row, strict=True)) for row in rows])
        return True

    def _take(self, row: list[str], number: int, decoded: Decoded) -> None:
        if not row:
            return
        if self._wrong_header:
            decoded.refuse(number, self._wrong_header)
        elif not self._header:
            self._take_header(row, number, decoded)
        elif len(row) != len(self._header):
            whose = "`columns` has" if self._names else "the header"
            decoded.refuse(number, f"the line has {len(row)} fields, and {whose} {len(self._header)}")
        else:
            decoded.events.append(dict(zip(self._header, row, strict=True)))

    def _take_header(self, row: list[str], number: int, decoded: Decoded) -> None:
        twice = next((name for name in row if row.count(name) > 1), None)
        if twice is None:
            self._header = row
        else:
            self._wrong_header = f"the header in line {number} names the field {twice!r} twice"
            decoded.refuse(number, self._wrong_header)


MAX_VALUES: Final = 250_000
"""The most values and keys of one text. Decoding so many holds the event loop for about 30 ms (CPython 3.11)."""

MAX_DEPTH: Final = 100
"""How deep lists and objects may nest: no event needs more, and later stages recurse into events."""

VALUE_BYTES: Final = 64
"""The memory that a decoded value adds to its text: an empty dict takes 64 bytes, a number about 30."""

# Possessive, with an optional closing quote, so that matching takes linear time for every text.
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_VALUE: Final = re.compile(_STRING + rb'|[\[{]|[^\s"\[\]{},:]++', re.DOTALL)
_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_FEW: Final = 2 * MAX_VALUES  # walking so many brackets (25 ms) is faster than cutting the strings out of a large text
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in _STEP)


def count_values(text: bytes, most: int = MAX_VALUES) -> int | None:
    """Return an upper bound of the values and keys in a JSON text; None for more than `most`.

    >>> count_values(b'[1, {"a": 2}]'), count_values(b'[1, 2, 3]', 3)
    (5, None)
    """
    bound = 1 + sum(text.count(sign) for sign in (b",", b":", b"[", b"{"))  # signs in strings are counted, too
    if bound <= most:
        return bound
    exact = sum(1 for _ in islice(_VALUE.finditer(text), most + 1))
    return None if exact > most else exact


def is_too_deep(text: bytes, most: int = MAX_DEPTH) -> bool:
    """Tell whether lists and objects nest deeper than `most`.

    Brackets in strings may hide that: the caller also catches `RecursionError`.

    >>> is_too_deep(b"[[1]]", 1), is_too_deep(b'["[["]', 1)
    (True, False)
    """
    brackets = text.translate(None, _NO_BRACKETS)
    if len(brackets) <= _FEW and _depth(brackets) <= most:
        return False
    return _depth(_STRINGS.sub(b"", text).translate(None, _NO_BRACKETS)) > most


def _depth(brackets: bytes) -> int:
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


SEPARATOR_BYTES: Final = 16
"""Bytes of the random separator: no sender can guess it, so no line holds it."""


class JsonDecoder(LineDecoder):
    """An event is the JSON value in the line; a blank line gives none."""

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder(parse_constant=refuse_constant)
        self._separator = secrets.token_hex(SEPARATOR_BYTES)

    @override
    def decode(self, lines: list[SplitLine], first_number: int) -> Decoded:
        try:
            return Decoded(self._decode_all(cast("list[str]", lines)))
        except (TypeError, ValueError, RecursionError):  # a line is no text or no JSON, or nests too deep
            return decode_each(lines, first_number, self._decode_one)

    def _decode_all(self, lines: list[str]) -> list[object]:
        """Decode all lines as one list, 1.5 times as fast as one by one; raise if any line is wrong.

        The separator stands between every two lines. If it comes out as every second item of the list, then each line
        is one whole value, and no value spans two lines.
        """
        if not lines:
            return []
        text = f',"{self._separator}",'.join(lines)
        if len(text) > MAX_VALUES and any(map(_has_too_many_values, lines)):
            raise NotDecodable
        items: list[object] = self._decoder.decode(f"[{text}]")
        if items[1::2] != [self._separator] * (len(lines) - 1) or len(items) != 2 * len(lines) - 1:
            raise NotDecodable
        return items[::2]

    def _decode_one(self, line: str) -> list[object]:
        if not line or line.isspace():
            return []
        if _has_too_many_values(line):
            why = f"the line has more than {MAX_VALUES} values and keys"
            raise NotDecodable(why)
        try:
            return [self._decoder.decode(line)]
        except json.JSONDecodeError as error:
            why = f"the line is not JSON ({error.msg}, column {error.colno})"
            raise NotDecodable(why) from None
        except (ValueError, RecursionError) as error:
            why = f"the line is not JSON that can be read ({error})"
            raise NotDecodable(why) from None


def _has_too_many_values(line: str) -> bool:
    return len(line) > MAX_VALUES and count_values(line.encode()) is None


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    why = f"JSON has no {name}"
    raise ValueError(why)


DecodeName = Literal["json", "csv", "text"]


def line_decoder(decode: DecodeName, max_line_bytes: int, delimiter: str, columns: Sequence[str]) -> LineDecoder:
    """Return the decoder; `delimiter` and `columns` apply to CSV."""
    match decode:
        case "json":
            return JsonDecoder()
        case "csv":
            return CsvDecoder(max_line_bytes, delimiter, columns)
        case "text":
            return TextDecoder()


class ChunkDecoder:
    """Decodes the chunks of one file after another; holds at most one unfinished line or CSV record."""

    def __init__(self, decoder: LineDecoder, max_line_bytes: int) -> None:
        self._splitter = LineSplitter(max_line_bytes)
        self._decoder = decoder
        self._number = 1

    @property
    def has_rest(self) -> bool:
        """Whether there is an unfinished line."""
        return self._splitter.has_rest

    @property
    def rest_bytes(self) -> int:
        """Bytes of the unfinished line."""
        return self._splitter.rest_bytes

    def decode(self, chunk: FileChunk) -> Decoded:
        """Decode a chunk; line numbers begin at 1 in every file. Never raises."""
        if not chunk.is_last:
            return self._decode(self._splitter.split(chunk.data))
        decoded = self._decode(self._splitter.end())
        decoded.add(self._decoder.end())
        self._number = 1
        return decoded

    def _decode(self, lines: list[SplitLine]) -> Decoded:
        first_number = self._number
        self._number += len(lines)
        return self._decoder.decode(lines, first_number)
