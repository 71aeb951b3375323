"""What a stage's own metrics come to: the largest label sets of each, and all the others as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace.telemetry.counts import Family, LabelValues

ROWS: Final = 12
"""Lines for one metric: more do not fit a terminal, and /metrics has them all."""


@dataclass(frozen=True, slots=True)
class Row:
    """One label set, or several as one: a value, and for a histogram how many observations it is the sum of."""

    label: str
    value: float | None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Digest:
    """One metric: its rows, largest first; the last one stands for all that do not have a row of their own."""

    name: str
    kind: str
    help: str
    rows: tuple[Row, ...]


def digest(family: Family, limit: int = ROWS) -> Digest:
    """Return a metric in at most `limit` rows. What is left out of a gauge has no sum, and so no value."""
    rows = _rows(family)
    kept, rest = (rows, []) if len(rows) <= limit else (rows[: limit - 1], rows[limit - 1 :])
    if rest:
        kept = [*kept, _as_one(rest, family.spec.kind)]
    return Digest(family.spec.name, family.spec.kind, family.spec.help, tuple(kept))


def _rows(family: Family) -> list[Row]:
    names = family.spec.labels
    if family.spec.kind == "histogram":
        observed = [(values, sum(tally.counts()), tally.sum) for values, tally in family.tallies.items()]
        rows = [Row(_label(names, values), total, count) for values, count, total in observed]
        return sorted(rows, key=lambda row: -(row.count or 0))
    rows = [Row(_label(names, values), amount) for values, amount in family.samples.items()]
    return sorted(rows, key=lambda row: -(row.value or 0))


def _label(names: Sequence[str], values: LabelValues) -> str:
    return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def _as_one(rest: Sequence[Row], kind: str) -> Row:
    label = f"{len(rest):,} more"
    if kind == "gauge":
        return Row(label, None)
    count = sum(row.count or 0 for row in rest) if kind == "histogram" else None
    return Row(label, sum(row.value or 0 for row in rest), count)
