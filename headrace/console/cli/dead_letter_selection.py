"""Options of commands that select dead letters: by number, stage, error or age."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace.clock import utc_now
from headrace.console.cli.job_target import UsageError
from headrace.dead_letters.store import DeadLetterFilter
from headrace.units import Rate, UnitError, parse_duration, parse_rate


@dataclass(frozen=True, slots=True)
class DeadLetterSelectionOptions:
    """The options that select dead letters; an empty one selects all."""

    stages: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    older: str | None = None
    is_all: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no option is given."""
        return not (self.stages or self.errors or self.older or self.is_all)

    def filter(self, pipeline: str | None, ids: Iterable[int] = ()) -> DeadLetterFilter:
        """Return the same as a filter, for one pipeline alone if it is named. Raises `UsageError`."""
        return DeadLetterFilter(
            ids=frozenset(ids) or None,
            pipeline=pipeline,
            stages=frozenset(self.stages) or None,
            errors=frozenset(self.errors) or None,
            before=None if self.older is None else _ago(self.older),
        )


def rate_of(text: str) -> Rate:
    """Return a rate. Raises `UsageError`."""
    try:
        return parse_rate(text)
    except UnitError as error:
        error_found = UsageError("--rate", str(error))
    raise error_found


def _ago(text: str) -> datetime:
    try:
        return utc_now() - timedelta(seconds=parse_duration(text))
    except UnitError as error:
        error_found = UsageError("--older", str(error))
    except OverflowError:
        error_found = UsageError("--older", f"{text} reaches back before the year 1: give a shorter time")
    raise error_found
