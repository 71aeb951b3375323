"""Compares the hot paths of this tree with another commit, alternately and in separate OS processes.

A row fails when the median of its paired ratios is below 0.97 and outside the spread of the control, in which the other
commit is compared with itself.
"""

import gc
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

PAIRS: Final = 15
LEAST: Final = 0.97
"""The paired median below which a row fails, unless the control spreads as far."""

ROOT: Final = Path(__file__).resolve().parent.parent
USAGE: Final = 'usage: make bench ARGS="hot --against REF [--pairs N] [ROW ...]"'


class Timed:
    """An OS process that times rows of one tree, one at a time."""

    def __init__(self, tree: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmarks.hot", "--serve"],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def seconds(self, row: str) -> float:
        """Run a row once; return its seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(row, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"row {row!r} failed: its traceback stands above")
        return float(answer)


@dataclass(frozen=True, slots=True)
class Row:
    """The paired ratios of one row, reference / tree: above 1 the tree is faster. `control`: reference / reference."""

    name: str
    control: Sequence[float]
    ratios: Sequence[float]

    @property
    def median(self) -> float:
        """The median of the paired ratios."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The second lowest and the second highest ratio of the control."""
        ordered = sorted(self.control)
        inner = ordered[1:-1] or ordered
        return inner[0], inner[-1]

    @property
    def is_met(self) -> bool:
        """Whether the row is not slower, as far as the control can tell."""
        return self.median >= LEAST or self.median >= self.spread[0]

    def __str__(self) -> str:
        low, high = self.spread
        verdict = "" if self.is_met else "SLOWER"
        control = f"control {statistics.median(self.control):.3f} ({low:.3f} to {high:.3f})"
        return f"{self.name:24}{self.median:8.3f}   {control}  {verdict}"


def pairs(row: str, one: Timed, other: Timed, count: int) -> list[float]:
    """Return `count` ratios of a row's seconds, one / other; who runs first alternates."""
    found = []
    for number in range(count):
        if number % 2:
            second, first = other.seconds(row), one.seconds(row)
        else:
            first, second = one.seconds(row), other.seconds(row)
        found.append(first / second)
    return found


def compare(reference: Path, rows: Sequence[str], count: int) -> Iterator[Row]:
    """Yield each row's ratios of the tree at `reference` against this one."""
    with Timed(reference) as one, Timed(reference) as same, Timed(ROOT) as ours:
        for row in rows:
            for timed in (one, same, ours):
                timed.seconds(row)
            yield Row(row, pairs(row, one, same, count), pairs(row, one, ours, count))


@contextmanager
def checked_out(ref: str) -> Iterator[Path]:
    """Check `ref` out into a folder of its own while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git("worktree", "add", "--quiet", "--detach", str(tree), ref)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


def git(*arguments: str) -> None:
    """Run git at the root; its own message says why it failed."""
    if subprocess.run(["git", "-C", str(ROOT), *arguments], check=False).returncode:  # noqa: S603, S607 - our own arguments
        raise SystemExit(f"git {' '.join(arguments)} failed")


def serve(rows: dict[str, Callable[[], float]]) -> None:
    """Time each row that standard input names; write its seconds as a line."""
    for line in sys.stdin:
        gc.collect()
        print(rows[line.strip()](), flush=True)


def main(arguments: Sequence[str]) -> int:
    """Compare, print each row, and return 1 when a row is slower."""
    from benchmarks.hot_rows import ROWS  # noqa: PLC0415 - the parent process measures nothing, but needs the names

    if list(arguments) == ["--serve"]:
        serve(ROWS)
        return 0
    words = list(arguments)
    if len(words) < 2 or words[0] != "--against":
        raise SystemExit(USAGE)
    ref, words = words[1], words[2:]
    count = PAIRS
    if words[:1] == ["--pairs"]:
        count, words = int(words[1]), words[2:]
    unknown = [word for word in words if word not in ROWS]
    if unknown:
        raise SystemExit(f"there is no row {unknown[0]!r}: take {', '.join(ROWS)}")
    print(f"{ref} against this tree: medians of {count} pairs, above 1 this tree is faster")
    slower = 0
    with checked_out(ref) as reference:
        for row in compare(reference, words or list(ROWS), count):
            print(row, flush=True)
            slower += not row.is_met
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
