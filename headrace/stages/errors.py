"""Errors of built-in stages and of the files and addresses that they use.

::

    HeadraceError
    ├── StageError
    │   ├── CannotOpen           a file or an address that cannot be opened
    │   │   └── MissingFile      no file has that name
    │   ├── CannotWrite          a sink's file cannot be written: a restart may help
    │   └── BadEvent             an event that a stage cannot use: it fails alone
    │       └── BadValue         its value cannot be counted in a metric
    └── Unrecoverable
        ├── BadLine              a line cannot be decoded, and `on_error` is `stop`
        ├── CannotRead           a source's file failed while it was read
        └── ReaderClosed         no program reads standard output any more
"""

from pathlib import Path

from headrace.errors import StageError, Unrecoverable


class CannotOpen(StageError):
    """A file or an address cannot be opened: `what`, `why`, and `hint`, the remedy."""

    def __init__(self, what: str, why: str, hint: str) -> None:
        self.what = what
        self.why = why
        self.hint = hint
        super().__init__(f"{what} {why}: {hint}")


class MissingFile(CannotOpen):
    """No file has that name, or matches that pattern."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why, f"check `path`, which begins in {Path.cwd()} unless it begins with /")


class CannotWrite(StageError):
    """A sink's file cannot be written."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"cannot write to {path}: {why}; make room or mend it, and start again")


class BadEvent(StageError):
    """An event that a stage cannot use; `why` is one sentence."""


class BadValue(BadEvent):
    """The value of an event cannot be counted in a metric; `why` follows the metric's name."""

    def __init__(self, metric: str, why: str) -> None:
        self.metric = metric
        self.why = why
        super().__init__(f"the value of {metric} {why}")


class BadLine(Unrecoverable):
    """A line cannot be decoded; `number` counts from 1 in the file at `path`."""

    def __init__(self, path: str, number: int, why: str) -> None:
        self.path = path
        self.number = number
        self.why = why
        super().__init__(f"{path}:{number}: {why}; mend the line, or leave such lines out with `on_error: skip`")


class CannotRead(Unrecoverable):
    """A source's file failed while it was read: a restart would emit its first events twice."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"cannot read on in {path}: {why}; mend it, and start again")


class ReaderClosed(Unrecoverable):
    """The program that read standard output has ended, as after `| head`."""

    def __init__(self) -> None:
        super().__init__("the reader of standard output is gone: let its reader read to the end, or write to a file")
