"""Times two ways of doing the same work in turn, several times, and keeps the median of the ratios."""

import gc
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

RUNS: Final = 9
"""Pairs of runs. The two runs of a pair follow each other, so a machine that slows down slows both."""


class Broken(AssertionError):
    """A timed run broke a promise of headrace."""

    def __init__(self, promise: str, found: object) -> None:
        super().__init__(f"{promise}, and this was found: {found}")


def all_arrived(found: object, expected: object) -> None:
    """Raise `Broken` if an event of the run was lost or delivered twice."""
    if found != expected:
        raise Broken(f"{expected} events arrive, each once", found)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table. `bound` is the limit with its direction, or empty."""

    work: str
    figure: str
    bound: str
    is_met: bool | None


def ratio(theirs: Callable[[], float], ours: Callable[[], float], runs: int = RUNS) -> float:
    """Return the median of `theirs / ours`, both in seconds: the speed of ours relative to theirs."""
    theirs()
    ours()
    ratios = []
    for _ in range(runs):
        gc.collect()
        ratios.append(theirs() / ours())
    return statistics.median(ratios)


def at_least(work: str, found: float, bound: float | None, aim: float | None = None) -> Line:
    """Return the row of a ratio that should be `bound` or more."""
    wanted = "" if bound is None else f">= {bound:.2f}"
    wanted += "" if aim is None else f" (aim {aim:.2f})"
    return Line(work, f"{found:.3f}", wanted, None if bound is None else found >= bound)


def at_most(work: str, found: float, bound: float | None, unit: str) -> Line:
    """Return the row of a figure that should be `bound` or less."""
    return Line(
        work,
        f"{found:.{0 if found >= 100 else 2}f} {unit}",
        "" if bound is None else f"<= {bound:g} {unit}",
        None if bound is None else found <= bound,
    )
