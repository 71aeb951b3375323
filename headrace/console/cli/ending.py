"""How a run ended: what is said about it, and the exit code that it comes to."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from headrace.console.cli.exit_code import ExitCode
from headrace.console.cli.reasons import sentence
from headrace.errors import HeadraceError
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.snapshot import TopologySnapshot
from headrace.telemetry.counts import Family

_SAID: Final = frozenset({"filtered", "duplicate", "sampled", "overflow", "error", "crash", "cancelled"})
"""Reasons to discard events that need no further word: a stage's very purpose, and what counts as failed or lost."""


_KEPT: Final = {"dead_lettered": "kept as dead letters", "errors_output": "passed to an errors output"}
"""What became of events that failed and are not lost."""


@dataclass(frozen=True, slots=True)
class JobsEnded:
    """How many attempts of jobs ended in a run, by how they did; those that `failed` are tried again."""

    completed: int = 0
    failed: int = 0
    discarded: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a run that was begun.

    `outcome` and `snapshot` are None when nothing was started; `refusal` says why it could not be, if it could not.
    `is_cut_short` tells that a second signal ended it before it was drained. `mask` hides what must not be shown.
    """

    outcome: RunOutcome | None
    snapshot: TopologySnapshot | None
    seconds: float
    refusal: HeadraceError | None = None
    is_cut_short: bool = False
    mask: Callable[[str], str] = str
    jobs: JobsEnded | None = None

    @property
    def exit_code(self) -> ExitCode:
        """0 when all went through, or a signal came before anything was taken in; 1 otherwise."""
        return ExitCode.FAILED if self.troubles() else ExitCode.FINE

    def troubles(self) -> list[str]:
        """Return what went wrong, as sentences; nothing when all went well."""
        if self.refusal is not None:
            return [self.mask(str(self.refusal))]
        found: list[str] = []
        outcome = self.outcome
        if outcome is not None:
            if outcome.reason is not None:
                found.append(self.mask(sentence(outcome.reason)))
            if outcome.events_failed:
                found.append(f"{_events(outcome.events_failed)} failed, and went no further")
            lost = outcome.events_lost - outcome.events_kept
            if lost > 0:
                found.append(f"{_events(lost)} got lost on the way")
            found += _input_lost(outcome.input_lost)
            if outcome.events_kept:
                wait = "waits" if outcome.events_kept == 1 else "wait"
                found.append(f"{_events(outcome.events_kept)} did not go through, and {wait} in the dead letters")
            if not (found or outcome.is_completed or outcome.is_drained):
                found.append("not all that was taken in went through")
        if self.jobs is not None and self.jobs.discarded:
            found.append(f"{_jobs(self.jobs.discarded)} failed for good")
        if self.is_cut_short:
            found.append("a second signal ended it before it was drained")
        return found

    def omissions(self) -> list[str]:
        """Return what was left out because the config says so, as clauses; what a filter drops is its purpose."""
        if self.snapshot is None:
            return []
        left_out: Counter[str] = Counter()
        for stage in self.snapshot.stages:
            left_out.update({reason: count for reason, count in stage.discarded.items() if reason not in _SAID})
        found = [_left_out(reason, count) for reason, count in left_out.items() if count]
        if self.jobs is not None and self.jobs.failed:
            found.append(f"{_jobs(self.jobs.failed)} failed and will be tried again")
        for stage in self.snapshot.stages:
            found += [_refused(family) for family in stage.families if family.refused]
        return found

    def verdict(self) -> str:
        """Return one sentence about the end."""
        troubles, omissions = self.troubles(), self.omissions()
        if troubles:
            return "; ".join([*troubles, *omissions])
        if self.outcome is None:
            return "a signal ended it before it had started"
        end = "drained" if self.outcome.is_drained else "all stages have completed"
        done = f"; {_jobs(self.jobs.completed)} completed" if self.jobs is not None else ""
        if omissions:
            return f"{end}, but {' and '.join(omissions)}{done}"
        how = ": all that was taken in went through" if self.outcome.is_drained else ", and all events went through"
        return f"{end}{how}{done}"


def _input_lost(lost: Mapping[str, int]) -> list[str]:
    """Return a clause for what sources lost before it became events, if they lost anything."""
    amounts = [f"{count:,} {what.removesuffix('s') if count == 1 else what}" for what, count in lost.items() if count]
    return [f"{' and '.join(amounts)} got lost unread"] if amounts else []


def _left_out(reason: str, count: int) -> str:
    fate = _KEPT.get(reason, f"left out as {reason}")
    return f"{_events(count)} {'was' if count == 1 else 'were'} {fate}"


def _refused(family: Family) -> str:
    spec, count = family.spec, family.refused
    samples = "1 sample was" if count == 1 else f"{count:,} samples were"
    how = "left out" if spec.kind == "gauge" else "counted as other"
    sets = "1 label set" if spec.limit == 1 else f"{spec.limit:,} label sets"
    return f"{spec.name} reached its limit of {sets}, so that {samples} {how}"


def _events(count: int) -> str:
    return f"{count:,} event" if count == 1 else f"{count:,} events"


def _jobs(count: int) -> str:
    return f"{count:,} job" if count == 1 else f"{count:,} jobs"
