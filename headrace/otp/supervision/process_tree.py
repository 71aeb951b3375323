"""The processes of an event loop, each below its supervisor."""

from collections.abc import Iterator
from dataclasses import dataclass

from typing_extensions import override

from headrace.otp.process.process import Process
from headrace.otp.scheduler import running_loop, schedulers_of


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A process at one moment.

    `kind` is the class of its callback object; `state` its status; `mailbox` the length of its mailbox; `turns` the
    number of its turns (0 where the scheduler does not measure); `restarts` the number of its restarts; `children` its
    children, in the order of their start.
    """

    name: str
    kind: str
    state: str
    mailbox: int
    turns: int
    restarts: int
    children: tuple["ProcessInfo", ...] = ()

    def walk(self) -> Iterator["ProcessInfo"]:
        """Yield this process and all below it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """All processes of a loop: those without a supervisor, by name, and the others below them. `str` draws it."""

    roots: tuple[ProcessInfo, ...]

    def walk(self) -> Iterator[ProcessInfo]:
        """Yield all processes, each before its children."""
        for root in self.roots:
            yield from root.walk()

    @override
    def __str__(self) -> str:
        rows = [row for root in self.roots for row in _rows(root)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(_line(row, widths) for row in rows)


def tree() -> ProcessTree:
    """Return the processes of the running loop. Raises `ForeignThread` where no loop runs."""
    schedulers = schedulers_of(running_loop("tree()"))
    roots = [root for scheduler in schedulers for root in scheduler.roots if isinstance(root, Process)]
    return ProcessTree(tuple(_info(root) for root in sorted(roots, key=lambda root: root.name)))


def _info(process: Process[object]) -> ProcessInfo:
    children = tuple(_info(child) for child in process.child_entries())
    return ProcessInfo(
        process.name,
        _kind(process),
        process.state.value,
        len(process.mailbox),
        process.turns.total(),
        process.restarts,
        children,
    )


def _kind(process: Process[object]) -> str:
    callbacks = process.callbacks
    if callbacks is not None and type(callbacks) is not object and not callable(callbacks):
        return type(callbacks).__name__
    if isinstance(process.factory, type) and process.factory is not object:
        return process.factory.__name__
    return type(process).__name__.removesuffix("Process")


def _rows(process: ProcessInfo, first: str = "", rest: str = "") -> Iterator[tuple[str, ...]]:
    counts = (f"{process.mailbox} mail", f"{process.turns} turns", f"{process.restarts} restarts")
    yield (first + process.name, process.kind, process.state, *counts)
    for child in process.children:
        is_last = child is process.children[-1]
        yield from _rows(child, rest + ("└─ " if is_last else "├─ "), rest + ("   " if is_last else "│  "))


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    texts, counts = row[:3], row[3:]
    left = [text.ljust(width) for text, width in zip(texts, widths, strict=False)]
    right = [count.rjust(width) for count, width in zip(counts, widths[3:], strict=True)]
    return "  ".join([*left, *right])
