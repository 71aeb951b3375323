"""Dead letters as tables for people."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from headrace.console.cli.commands.job_view import table_of
from headrace.pipeline.acknowledgement.dead_letter import DeadLetter, Form

_SHORT = 60  # characters of an event or an error in a line of a list


def letter_table(letters: Sequence[DeadLetter], *, with_pipeline: bool) -> Table:
    """Return a line for each letter."""
    headings = ("letter", *(("pipeline",) if with_pipeline else ()), "stage", "event", "error", "tries", "failed", "")
    rows = [
        (
            letter.id,
            *((letter.pipeline,) if with_pipeline else ()),
            letter.stage,
            _short(letter.event),
            _short(f"{letter.error_type}: {letter.error}"),
            letter.attempts,
            f"{letter.at:%Y-%m-%d %H:%M:%S}",
            _state(letter),
        )
        for letter in letters
    ]
    return table_of(headings, rows, ("letter", "tries"))


def letter_lines(letter: DeadLetter) -> Table:
    """Return all there is about one letter."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in (
        ("letter", letter.id),
        ("pipeline", letter.pipeline),
        ("stage", letter.stage),
        ("tries", letter.attempts),
        ("failed", letter.at.isoformat()),
        ("event", letter.event),
        ("kept as", _FORMS[letter.form]),
        ("metadata", letter.metadata or None),
        ("state", _state(letter) or None),
        ("error", f"{letter.error_type}: {letter.error}"),
        ("traceback", letter.traceback.rstrip()),
    ):
        if value is not None:
            table.add_row(Text(name), Text(printable(str(value))))
    return table


def printable(text: str) -> str:
    """Return text that does nothing to a terminal: what it would obey is written as an escape."""
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


_FORMS = {
    Form.JSON: "JSON",
    Form.BASE64: "bytes, in base64",
    Form.REPR: "a description; it cannot be replayed",
    Form.CUT: "a beginning, for it was too long; it cannot be replayed",
}


def _state(letter: DeadLetter) -> str:
    if letter.is_taken:
        return "is replayed"
    if letter.replay_at is not None:
        return "waits for its replay"
    return "" if letter.is_replayable else "not replayable"


def _short(text: str) -> str:
    line = printable(text.partition("\n")[0][: _SHORT + 1])
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"
