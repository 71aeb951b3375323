"""What can go wrong around a built-in stage: what it reads, writes or listens on.

::

    HeadraceError
    ├── StageError
    │   ├── CannotOpen           a file or an address that a stage cannot have
    │   │   └── MissingFile      nothing has that name
    │   ├── CannotWrite          a sink's file took nothing more: a restart may help
    │   └── BadEvent             an event that a stage cannot use: it fails alone
    │       └── BadValue         its value cannot be counted in a metric
    └── Unrecoverable
        ├── BadLine              a line is not what `decode` says, and no line may be left out
        ├── CannotRead           a source's file failed while it was read
        └── ReaderClosed         no program reads standard output any more
"""

from pathlib import Path

from headrace.errors import StageError, Unrecoverable


class CannotOpen(StageError):
    """A file or an address that a stage cannot have: `what`, `why`, and `hint`, what to do about it."""

    def __init__(self, what: str, why: str, hint: str) -> None:
        self.what = what
        self.why = why
        self.hint = hint
        super().__init__(f"{what} {why}: {hint}")


class MissingFile(CannotOpen):
    """Nothing has that name, or fits that pattern."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why, f"check `path`, which begins in {Path.cwd()} unless it begins with /")


class CannotWrite(StageError):
    """A sink's file took nothing more."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"cannot write to {path}: {why}; make room or mend it, and start again")


class BadEvent(StageError):
    """An event that a stage cannot use; `why` is one sentence."""


class BadValue(BadEvent):
    """The value of an event cannot be counted in the metric of that name; `why` follows what it is called."""

    def __init__(self, metric: str, why: str) -> None:
        self.metric = metric
        self.why = why
        super().__init__(f"the value of {metric} {why}")


class BadLine(Unrecoverable):
    """A line is not what `decode` says; `number` counts from 1 in the file at `path`."""

    def __init__(self, path: str, number: int, why: str) -> None:
        self.path = path
        self.number = number
        self.why = why
        super().__init__(f"{path}:{number}: {why}; mend the line, or leave such lines out with `on_error: skip`")


class CannotRead(Unrecoverable):
    """A source's file failed while it was read: to begin again would bring its first events twice."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"cannot read on in {path}: {why}; mend it, and start again")


class ReaderClosed(Unrecoverable):
    """Nobody reads standard output any more, as when `| head` has had enough."""

    def __init__(self) -> None:
        super().__init__("nobody reads standard output any more: let its reader read to the end, or write to a file")
