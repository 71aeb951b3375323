"""What comes of lines: events, and the lines that gave none because something is wrong with them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from headrace.stages.files.line_splitter import Line, NoText


@dataclass(frozen=True, slots=True)
class Refused:
    """A line (a record, where it has several) that gave no event: its number, why, and the events before it."""

    number: int
    why: str
    events_before: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """Events in the order of their lines, and what was refused among them, in that order too."""

    events: list[object] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, number: int, why: str) -> None:
        """Take note of a line that gives no event, after the events so far."""
        self.refused.append(Refused(number, why, len(self.events)))

    def add(self, later: "Decoded") -> None:
        """Put what came later behind what is here."""
        for refused in later.refused:
            self.refused.append(replace(refused, events_before=refused.events_before + len(self.events)))
        self.events.extend(later.events)


class LineDecoder(Protocol):
    """Decodes the lines of one file, in order."""

    def decode(self, lines: list[Line], first_number: int) -> Decoded:
        """Return what comes of the next lines; `first_number` is that of the first of them, from 1. Never raises."""

    def end(self) -> Decoded:
        """Return what is still open: the file has ended."""


class NotDecodable(ValueError):
    """One line cannot be decoded; the text says why."""


def decode_each(lines: list[Line], first_number: int, decode: Callable[[str], list[object]]) -> Decoded:
    """Decode line by line; what raises `NotDecodable`, and what is no text, is refused alone."""
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
