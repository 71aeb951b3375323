"""What came of the jobs that a test ran."""

from dataclasses import dataclass, fields

from headrace.jobs.job import CalledOff, Completed, Failed, Outcome, Snoozed


@dataclass(frozen=True, slots=True)
class Drained:
    """How many jobs were run, by what became of each.

    They are done, to be tried again, given up, called off, or told to come back later.
    """

    completed: int = 0
    retryable: int = 0
    discarded: int = 0
    cancelled: int = 0
    snoozed: int = 0

    @property
    def total(self) -> int:
        """Return how many were run."""
        return sum(getattr(self, each.name) for each in fields(self))


def became(outcome: Outcome) -> str:
    """Return which number of `Drained` counts an outcome."""
    if isinstance(outcome, Completed):
        return "completed"
    if isinstance(outcome, CalledOff):
        return "cancelled"
    if isinstance(outcome, Failed):
        return "discarded" if outcome.retry_seconds is None else "retryable"
    return "snoozed" if isinstance(outcome, Snoozed) else "retryable"
