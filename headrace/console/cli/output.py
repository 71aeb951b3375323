"""JSON, logs, findings, and error texts."""

import asyncio
import codecs
import json
import logging
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from typing_extensions import override

from headrace.config.text.findings import ConfigError
from headrace.console.cli.streams import UNENCODABLE
from headrace.errors import HeadraceError, class_and_message, message_of
from headrace.errors.root import is_ours, origin
from headrace.otp.process.process import CURRENT

_SENTENCES: Final = (HeadraceError, OSError, asyncio.CancelledError)
"""Errors whose text explains the failure without a line of code."""


def sentence(error: BaseException) -> str:
    """Return an error's class and text, and the line of user code that raised it, if there is one."""
    message = (message_of(error) if isinstance(error, HeadraceError) else "") or class_and_message(error)
    location = origin(error)
    return message if location is None else f"{message} ({location})"


def is_headrace_bug(error: BaseException) -> bool:
    """Whether headrace's own code raised an error without a part of user code: then its traceback is shown."""
    if isinstance(error, (*_SENTENCES, KeyboardInterrupt, SystemExit)) or origin(error) is not None:
        return False
    return is_ours(error)


def full_text(error: BaseException) -> str:
    """Return the whole traceback."""
    return "".join(traceback.format_exception(error)).rstrip()


_REPORT: Final = "this is a bug of headrace: please report it with the lines below"
_QUIET: Final = ("uvicorn", "asyncio")
"""Libraries whose info records are not shown."""


class _Formatter(logging.Formatter):
    """The common part of both formats: an exception becomes a sentence; bugs and debug logs show its traceback."""

    def __init__(self, *, with_tracebacks: bool, redactor: Callable[[str], str] = str) -> None:
        """`redactor` hides secrets in messages and tracebacks."""
        super().__init__()
        self._with_tracebacks = with_tracebacks
        self._redactor = redactor

    def message(self, record: logging.LogRecord) -> str:
        """Return the record's text with its exception."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return self._redactor(record.getMessage())
        message = record.getMessage().removesuffix(f": {class_and_message(error)}")
        bug = f"; {_REPORT}" if is_headrace_bug(error) else ""
        return self._redactor(f"{message}: {sentence(error)}{bug}")

    def traceback(self, record: logging.LogRecord) -> str | None:
        """Return the traceback, if one is shown for this record."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not (self._with_tracebacks or is_headrace_bug(error)):
            return None
        return self._redactor(full_text(error))


class JsonFormatter(_Formatter):
    """One JSON object a line: time, level, message, pipeline and stage, as far as they are known."""

    def __init__(
        self, pipeline: str, stages: Iterable[str], *, with_tracebacks: bool, redactor: Callable[[str], str] = str
    ) -> None:
        super().__init__(with_tracebacks=with_tracebacks, redactor=redactor)
        self._pipeline = pipeline
        self._stages = frozenset(stages)

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": self.message(record),
            "pipeline": self._pipeline,
        }
        process = CURRENT.get(None)
        if process is not None and process.name in self._stages:
            fields["stage"] = process.name
        if record.name != "headrace":
            fields["logger"] = record.name
        traceback = self.traceback(record)
        if traceback is not None:
            fields["traceback"] = traceback
        return json.dumps(fields, ensure_ascii=False)


class LineFormatter(_Formatter):
    """A short line for people: the time of day, the level, the message."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        line = f"{at} {record.levelname.lower():7} {self.message(record)}"
        traceback = self.traceback(record)
        return line if traceback is None else f"{line}\n{traceback}"


@contextmanager
def logging_to(handler: logging.Handler, level: str) -> Iterator[None]:
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


_INDENT: Final = 2


def print_json(document: object) -> None:
    """Print one JSON document. Numbers that JSON lacks are written as in the Prometheus API."""
    is_unicode = codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    print(_text(document, is_ascii=not is_unicode))


def write_json(path: str, document: object) -> None:
    """Write one JSON document to a file, which it replaces. Raises `OSError`."""
    Path(path).write_text(f"{_text(document)}\n", encoding="utf-8", errors=UNENCODABLE)


def _text(document: object, *, is_ascii: bool = False) -> str:
    return json.dumps(_finite(document), ensure_ascii=is_ascii, allow_nan=False, indent=_INDENT)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    if isinstance(value, dict):
        return {key: _finite(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(below) for below in value]
    return value


_BOLD: Final = "\x1b[1m"
_RED: Final = "\x1b[31m"
_CYAN: Final = "\x1b[36m"
_PLAIN: Final = "\x1b[0m"
_COLOURS: Final = (
    (re.compile(r"^(\S.*?:\d+:\d+:) ([a-z-]+:)", re.MULTILINE), rf"{_BOLD}\1{_PLAIN} {_RED}\2{_PLAIN}"),
    (re.compile(r"^( +\|\s+)(\^+)$", re.MULTILINE), rf"\1{_RED}\2{_PLAIN}"),
    (re.compile(r"^( += )(allowed:)", re.MULTILINE), rf"\1{_CYAN}\2{_PLAIN}"),
)
"""The coloured parts: location and code, the carets under the location, and the word `allowed:`."""


def print_findings(error: ConfigError) -> None:
    """Print findings for people."""
    text = error.as_text()
    if _has_colours():
        for pattern, painted in _COLOURS:
            text = pattern.sub(painted, text)
    print(text, file=sys.stderr)


def _has_colours() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stderr.isatty() and os.environ.get("TERM") != "dumb")


class UsageError(HeadraceError):
    """The arguments of a command do not fit together; its exit code is 2. `where` is the wrong option or argument."""

    def __init__(self, where: str, why: str) -> None:
        self.where = where
        super().__init__(f"{where}: {why}")


class CommandFailed(HeadraceError):
    """A command could not do its work; its exit code is 1."""


def counted(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "job"), counted(1200, "job")
    ('1 job', '1,200 jobs')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def iso(time: datetime | None) -> str | None:
    """Return a time as ISO 8601."""
    return None if time is None else time.isoformat()
