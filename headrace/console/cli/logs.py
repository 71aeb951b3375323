"""Log records as JSON lines for machines, and as short lines for people; both on stderr."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Literal

from headrace.console.cli.reasons import full_text, is_our_fault, sentence
from headrace.errors import class_and_message
from headrace.otp.process.process import CURRENT

LevelName = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

_REPORT: Final = "this is a bug of headrace: please report it with the lines below"
_QUIET: Final = ("uvicorn", "asyncio")
"""Libraries whose everyday news nobody asked for."""


class _Formatter(logging.Formatter):
    """What both forms share: an exception becomes a sentence, and its traceback is shown for bugs and for debugging."""

    def __init__(self, *, with_tracebacks: bool, mask: Callable[[str], str] = str) -> None:
        """`mask` hides what must not be shown, in messages and tracebacks."""
        super().__init__()
        self._with_tracebacks = with_tracebacks
        self._mask = mask

    def message(self, record: logging.LogRecord) -> str:
        """Return what the record says, its exception with it."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return self._mask(record.getMessage())
        said = record.getMessage().removesuffix(f": {class_and_message(error)}")
        bug = f"; {_REPORT}" if is_our_fault(error) else ""
        return self._mask(f"{said}: {sentence(error)}{bug}")

    def traceback(self, record: logging.LogRecord) -> str | None:
        """Return the traceback, if there is one that should be seen."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not (self._with_tracebacks or is_our_fault(error)):
            return None
        return self._mask(full_text(error))


class JsonFormatter(_Formatter):
    """One JSON object a line: time, level, message, pipeline and stage, as far as they are known."""

    def __init__(
        self, pipeline: str, stages: Iterable[str], *, with_tracebacks: bool, mask: Callable[[str], str] = str
    ) -> None:
        super().__init__(with_tracebacks=with_tracebacks, mask=mask)
        self._pipeline = pipeline
        self._stages = frozenset(stages)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. The stage is the one in whose callback the record was made."""
        said: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": self.message(record),
            "pipeline": self._pipeline,
        }
        process = CURRENT.get(None)
        if process is not None and process.name in self._stages:
            said["stage"] = process.name
        if record.name != "headrace":
            said["logger"] = record.name
        traceback = self.traceback(record)
        if traceback is not None:
            said["traceback"] = traceback
        return json.dumps(said, ensure_ascii=False)


class LineFormatter(_Formatter):
    """A short line for people: the time of day, the level, the message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        line = f"{at} {record.levelname.lower():7} {self.message(record)}"
        traceback = self.traceback(record)
        return line if traceback is None else f"{line}\n{traceback}"


@contextmanager
def logging_to(handler: logging.Handler, level: LevelName) -> Iterator[None]:
    """Send every record from `level` on to `handler` while the block runs, and Python's warnings with them."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in _QUIET}
    before, level_before = root.handlers, root.level
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.handlers = before
        root.setLevel(level_before)
        for name, was in levels.items():
            logging.getLogger(name).setLevel(was)
