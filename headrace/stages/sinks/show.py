"""Prints events."""

import json
import os
import sys
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import Annotated, Final, TextIO

from pydantic import BaseModel, Field
from typing_extensions import override

from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.errors import CannotWrite, ReaderClosed
from headrace.stages.files.output_file import WriterThread
from headrace.stages.options import CountField, Options, StageType
from headrace.values import json_or_repr

OUTPUT: Final = "the output"

_JSON: Final = json.JSONEncoder(ensure_ascii=False, default=json_or_repr)


class ShowOptions(Options):
    """How much to print."""

    limit: Annotated[CountField, Field(ge=1)] | None = Field(
        default=None, description="How many events to print; later events are received and not shown."
    )


class Show(Consumer[object], StageType):
    """Prints each event as one line of JSON; values that JSON does not have are printed as in Python.

    When the reader of the output is gone, the run ends with `ReaderClosed`. Printing happens in a thread.
    """

    Options = ShowOptions
    per_event = True
    one_to_one = True

    def __init__(self, options: ShowOptions, stream: TextIO | None = None) -> None:
        """Print to `stream`, or to the standard output at the start of the stage."""
        self._given = stream
        self._left = sys.maxsize if options.limit is None else options.limit
        self._stream: TextIO
        self._thread: WriterThread

    @staticmethod
    @override
    def writes_to_stdout(options: BaseModel) -> bool:
        return True

    @override
    def init(self) -> None:
        self._stream = sys.stdout if self._given is None else self._given
        self._thread = WriterThread(self.name, self.connection("file"))
        self._thread.start()

    @override
    def handle_events(self, events: list[object]) -> Awaitable[None] | None:
        shown = events[: self._left]
        if not shown:
            return None
        self._left -= len(shown)
        return self._thread.write(partial(self._print, "".join(map(_line, shown))))

    @override
    def terminate(self, reason: object) -> None:
        self._thread.close()

    def _print(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except BrokenPipeError as error:
            if self._given is None:
                _silence(self._stream)
            raise ReaderClosed from error
        except ValueError as error:  # the stream was closed
            raise ReaderClosed from error
        except OSError as error:
            raise CannotWrite(OUTPUT, error.strerror or str(error)) from error


def _line(event: object) -> str:
    try:
        return f"{_JSON.encode(event)}\n"
    except (TypeError, ValueError, RecursionError):  # keys that are no text; an event that contains itself
        return f"{event!r}\n"


def _silence(stream: TextIO) -> None:
    """Discard the unwritten output: Python would report the broken pipe once more at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
