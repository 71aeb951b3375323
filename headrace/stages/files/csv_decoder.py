"""Events of CSV: a record is a dict by the names in the header."""

import csv
from collections.abc import Sequence
from typing import Final

from headrace.stages.files.decoded import Decoded
from headrace.stages.files.line_splitter import Line, NoText
from headrace.units import format_size

OPEN_QUOTE: Final = "unexpected end of data"
"""How csv says that a quote is still open after the last line it was given."""


class CsvDecoder:
    """An event is a dict of texts; the first record of the file names its keys, unless `names` do.

    Fields are separated by commas, or by another `delimiter`, and may stand in double quotes, and then hold line breaks
    (RFC 4180). Empty lines are skipped. A record has as many fields as the header. What a quote keeps open is held, at
    most `max_bytes` of it.
    """

    def __init__(self, max_bytes: int, delimiter: str = ",", names: Sequence[str] = ()) -> None:
        self._max_bytes = max_bytes
        self._delimiter = delimiter
        self._names = list(names)
        self._header = self._names
        self._wrong_header = ""
        self._open: list[str] = []
        self._open_number = 0

    def decode(self, lines: list[Line], first_number: int) -> Decoded:
        """Return the records that end in the lines."""
        decoded = Decoded()
        if not self._open:
            self._open_number = first_number
        for number, line in enumerate(lines, first_number):
            if isinstance(line, NoText):
                self._read(decoded)
                self._give_up_open(decoded)
                decoded.refuse(number, line.why)
                self._open_number = number + 1
            else:
                self._open.append(line + "\n")
        self._read(decoded)
        while sum(map(len, self._open)) > self._max_bytes:
            why = f"a quote opens here and is not closed within {format_size(self._max_bytes)} (max_line_bytes)"
            self._skip_open(decoded, why)
        return decoded

    def end(self) -> Decoded:
        """Return what is still open: the file has ended."""
        decoded = Decoded()
        self._give_up_open(decoded)
        self._header, self._wrong_header = self._names, ""
        return decoded

    def _give_up_open(self, decoded: Decoded) -> None:
        while self._open:
            self._skip_open(decoded, "a quote opens here and is never closed")

    def _skip_open(self, decoded: Decoded, why: str) -> None:
        """Refuse the line in which the open quote begins, and read the lines after it anew."""
        decoded.refuse(self._open_number, why)
        del self._open[0]
        self._open_number += 1
        self._read(decoded)

    def _read(self, decoded: Decoded) -> None:
        """Read the open lines; keep those of a record that has not ended."""
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
        """Read lines in which nothing is quoted in one step; return False, with nothing done, where it will not do."""
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
