"""The summary of a run, and its JSON."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from headrace.console.cli.output import counted, sentence
from headrace.console.cli.streams import ExitCode
from headrace.errors import HeadraceError
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.snapshot import StageSnapshot, TopologySnapshot
from headrace.telemetry.counts import Family, LabelValues

ROWS: Final = 12
"""The limit of lines of one metric in a terminal; /metrics has all."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One label set, or the sum of several: a value, and for a histogram the count of its observations."""

    label: str
    value: float | None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """One metric: its rows, largest first; the last row sums all label sets beyond the limit."""

    name: str
    kind: str
    help: str
    rows: tuple[MetricRow, ...]


def metric_rows(family: Family, limit: int = ROWS) -> MetricSummary:
    """Return a metric in at most `limit` rows. The row that sums the rest has no value for a gauge."""
    rows = _rows(family)
    kept, rest = (rows, []) if len(rows) <= limit else (rows[: limit - 1], rows[limit - 1 :])
    if rest:
        kept = [*kept, _as_one(rest, family.spec.kind)]
    return MetricSummary(family.spec.name, family.spec.kind, family.spec.help, tuple(kept))


def _rows(family: Family) -> list[MetricRow]:
    names = family.spec.labels
    if family.spec.kind == "histogram":
        observed = [(values, sum(tally.counts()), tally.sum) for values, tally in family.tallies.items()]
        rows = [MetricRow(_label(names, values), total, count) for values, count, total in observed]
        return sorted(rows, key=lambda row: -(row.count or 0))
    rows = [MetricRow(_label(names, values), amount) for values, amount in family.samples.items()]
    return sorted(rows, key=lambda row: -(row.value or 0))


def _label(names: Sequence[str], values: LabelValues) -> str:
    return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def _as_one(rest: Sequence[MetricRow], kind: str) -> MetricRow:
    label = f"{len(rest):,} more"
    if kind == "gauge":
        return MetricRow(label, None)
    count = sum(row.count or 0 for row in rest) if kind == "histogram" else None
    return MetricRow(label, sum(row.value or 0 for row in rest), count)


_NO_WARNING: Final = frozenset({"filtered", "duplicate", "sampled", "overflow", "error", "crash", "cancelled"})
"""Reasons for discarding events that give no warning: the purpose of a stage, or events counted as failed or lost."""


_KEPT: Final = {"dead_lettered": "kept as dead letters", "errors_output": "passed to an errors output"}
"""The destination of failed events that are not lost."""


@dataclass(frozen=True, slots=True)
class JobsSummary:
    """The counts of job attempts that ended in a run, by outcome; a `failed` attempt is tried again."""

    completed: int = 0
    failed: int = 0
    discarded: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The end of a run.

    `outcome` and `snapshot` are None when nothing was started; `start_error` is the error that prevented the start.
    `is_cut_short`: a second signal ended the run before it had drained. `redactor` hides secrets.
    """

    outcome: RunOutcome | None
    snapshot: TopologySnapshot | None
    seconds: float
    start_error: HeadraceError | None = None
    is_cut_short: bool = False
    redactor: Callable[[str], str] = str
    jobs: JobsSummary | None = None

    @property
    def exit_code(self) -> ExitCode:
        """0 when all events went through, or a signal came before the first event was taken in; 1 otherwise."""
        return ExitCode.FAILED if self.errors() else ExitCode.FINE

    def errors(self) -> list[str]:
        """Return the errors of the run as sentences; an empty list when all went well."""
        if self.start_error is not None:
            return [self.redactor(str(self.start_error))]
        found: list[str] = []
        outcome = self.outcome
        if outcome is not None:
            if outcome.reason is not None:
                found.append(self.redactor(sentence(outcome.reason)))
            if outcome.events_failed:
                found.append(f"{counted(outcome.events_failed, 'event')} failed, and went no further")
            lost = outcome.events_lost - outcome.events_kept
            if lost > 0:
                found.append(f"{counted(lost, 'event')} got lost on the way")
            found += _input_lost(outcome.input_lost)
            if outcome.events_kept:
                wait = "waits" if outcome.events_kept == 1 else "wait"
                found.append(
                    f"{counted(outcome.events_kept, 'event')} did not go through, and {wait} in the dead letters"
                )
            if not (found or outcome.is_completed or outcome.is_drained):
                found.append("not all that was taken in went through")
        if self.jobs is not None and self.jobs.discarded:
            found.append(f"{counted(self.jobs.discarded, 'job')} failed for good")
        if self.is_cut_short:
            found.append("a second signal ended it before it was drained")
        return found

    def warnings(self) -> list[str]:
        """Return the events left out because of the config, as clauses; events that a filter drops do not count."""
        if self.snapshot is None:
            return []
        left_out: Counter[str] = Counter()
        for stage in self.snapshot.stages:
            left_out.update({reason: count for reason, count in stage.discarded.items() if reason not in _NO_WARNING})
        found = [_left_out(reason, count) for reason, count in left_out.items() if count]
        if self.jobs is not None and self.jobs.failed:
            found.append(f"{counted(self.jobs.failed, 'job')} failed and will be tried again")
        for stage in self.snapshot.stages:
            found += [_refused(family) for family in stage.families if family.refused]
        return found

    def status(self) -> str:
        """Return one sentence about the end of the run."""
        errors, warnings = self.errors(), self.warnings()
        if errors:
            return "; ".join([*errors, *warnings])
        if self.outcome is None:
            return "a signal ended it before it had started"
        end = "drained" if self.outcome.is_drained else "all stages have completed"
        done = f"; {counted(self.jobs.completed, 'job')} completed" if self.jobs is not None else ""
        if warnings:
            return f"{end}, but {' and '.join(warnings)}{done}"
        how = ": all that was taken in went through" if self.outcome.is_drained else ", and all events went through"
        return f"{end}{how}{done}"


def _input_lost(lost: Mapping[str, int]) -> list[str]:
    """Return a clause about input that sources lost before they made events of it, if there is any."""
    amounts = [f"{count:,} {what.removesuffix('s') if count == 1 else what}" for what, count in lost.items() if count]
    return [f"{' and '.join(amounts)} got lost unread"] if amounts else []


def _left_out(reason: str, count: int) -> str:
    outcome = _KEPT.get(reason, f"left out as {reason}")
    return f"{counted(count, 'event')} {'was' if count == 1 else 'were'} {outcome}"


def _refused(family: Family) -> str:
    spec, count = family.spec, family.refused
    samples = "1 sample was" if count == 1 else f"{count:,} samples were"
    how = "left out" if spec.kind == "gauge" else "counted as other"
    sets = "1 label set" if spec.limit == 1 else f"{spec.limit:,} label sets"
    return f"{spec.name} reached its limit of {sets}, so that {samples} {how}"


def summary_json(name: str, file: str, url: str | None, summary: RunSummary) -> dict[str, object]:
    """Return the summary as plain values, with every label set."""
    snapshot = summary.snapshot
    return {
        "pipeline": name,
        "file": file,
        "url": url,
        "exit_code": int(summary.exit_code),
        "status": summary.status(),
        "errors": summary.errors(),
        "warnings": summary.warnings(),
        "seconds": round(summary.seconds, 3),
        "jobs": None if summary.jobs is None else asdict(summary.jobs),
        "stages": [] if snapshot is None else [_stage_json(stage) for stage in snapshot.stages],
        "edges": [] if snapshot is None else _edges_json(snapshot),
        "metrics": []
        if snapshot is None
        else [_metric_json(stage.name, family) for stage in snapshot.stages for family in stage.families],
    }


def _stage_json(stage: StageSnapshot) -> dict[str, object]:
    return {
        "stage": stage.name,
        "kind": stage.kind,
        "state": stage.state,
        "error": stage.error,
        "received": stage.events_received,
        "sent": stage.events_sent,
        "discarded": dict(stage.discarded),
        "lost": dict(stage.lost),
        "errors": dict(stage.errors),
        "failed": stage.events_failed,
        "restarts": stage.restarts,
        "busy_seconds": round(stage.busy_seconds, 6),
    }


def _edges_json(snapshot: TopologySnapshot) -> list[dict[str, object]]:
    return [
        {
            "producer": edge.producer,
            "consumer": edge.consumer,
            "demand_requested": edge.demand_requested,
            "events": edge.events,
        }
        for edge in snapshot.edges
    ]


def _metric_json(stage: str, family: Family) -> dict[str, object]:
    spec = family.spec
    samples: list[dict[str, object]] = [
        {"labels": dict(zip(spec.labels, values, strict=True)), "value": amount}
        for values, amount in family.samples.items()
    ]
    samples += [
        {
            "labels": dict(zip(spec.labels, values, strict=True)),
            "sum": tally.sum,
            "count": sum(tally.counts()),
            "bounds": list(tally.bounds),
            "counts": list(tally.counts()),
        }
        for values, tally in family.tallies.items()
    ]
    return {"metric": spec.name, "kind": spec.kind, "stage": stage, "samples": samples, "refused": family.refused}
