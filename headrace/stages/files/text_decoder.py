"""Events of plain text: a line is an event."""

from typing import cast

from headrace.stages.files.decoded import Decoded, decode_each
from headrace.stages.files.line_splitter import Line


class TextDecoder:
    """An event is the line as text, without its line feed and a carriage return before it; an empty line is one."""

    def decode(self, lines: list[Line], first_number: int) -> Decoded:
        """Return the lines as events."""
        try:
            has_returns = "\r" in "".join(cast("list[str]", lines))
        except TypeError:  # not all of them are text
            return decode_each(lines, first_number, _without_return)
        if has_returns:
            return decode_each(lines, first_number, _without_return)
        return Decoded(list[object](lines))

    def end(self) -> Decoded:
        """Return nothing: no line is held back."""
        return Decoded()


def _without_return(line: str) -> list[object]:
    return [line.removesuffix("\r")]
