"""Events of JSON lines: a line holds one value."""

import json
import secrets
from typing import Final, NoReturn, cast

from headrace.stages.files.decoded import Decoded, NotDecodable, decode_each
from headrace.stages.files.json_bounds import MAX_VALUES, count_values
from headrace.stages.files.line_splitter import Line

MARK_BYTES: Final = 16
"""Bytes of the random mark: nobody guesses it, and so no line holds it."""


class JsonDecoder:
    """An event is the value in the line; a line of white space alone is none."""

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder(parse_constant=refuse_constant)
        self._mark = secrets.token_hex(MARK_BYTES)

    def decode(self, lines: list[Line], first_number: int) -> Decoded:
        """Return the values in the lines."""
        try:
            return Decoded(self._decode_all(cast("list[str]", lines)))
        except (TypeError, ValueError, RecursionError):  # a line is no text, or no JSON, or nests too deep
            return decode_each(lines, first_number, self._decode_one)

    def end(self) -> Decoded:
        """Return nothing: no line is held back."""
        return Decoded()

    def _decode_all(self, lines: list[str]) -> list[object]:
        """Decode all lines as one list, which is half as fast again as one by one; raise if any of them is amiss.

        Between every two lines stands the mark. If all marks come out as every second item of the list, then each line
        is one whole value by itself, and no two of them have grown together.
        """
        if not lines:
            return []
        text = f',"{self._mark}",'.join(lines)
        if len(text) > MAX_VALUES and any(map(_has_too_many_values, lines)):
            raise NotDecodable
        items: list[object] = self._decoder.decode(f"[{text}]")
        if items[1::2] != [self._mark] * (len(lines) - 1) or len(items) != 2 * len(lines) - 1:
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
