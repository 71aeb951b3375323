"""Which of the jobs: by number, or by what they have in common."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from headrace.console.cli.job_target import UsageError
from headrace.jobs.job import STATES, JobState
from headrace.jobs.rules.job_filter import JobFilter, Scalar

_ARGUMENT: Final = "args."
"""With what a word begins that asks for an argument of jobs, as in args.region=eu."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The options that select jobs; an empty one selects nothing by itself."""

    states: Sequence[str] = ()
    queues: Sequence[str] = ()
    workers: Sequence[str] = ()
    tags: Sequence[str] = ()
    args: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said."""
        return not (self.states or self.queues or self.workers or self.tags or self.args)

    def with_arguments(self, arguments: Sequence[str]) -> tuple["Selection", tuple[str, ...]]:
        """Return the same with what words such as args.region=eu ask for, and the other words. Raises `UsageError`."""
        asked = [argument for argument in arguments if argument.startswith(_ARGUMENT)]
        for argument in asked:
            name, sign, _ = argument.removeprefix(_ARGUMENT).partition("=")
            if not (name and sign):
                raise UsageError("args.", f"{argument!r} is no argument: write args.region=eu, a name and its value")
        args = (*self.args, *(argument.removeprefix(_ARGUMENT) for argument in asked))
        return replace(self, args=args), tuple(argument for argument in arguments if argument not in asked)

    def filter(self, ids: Iterable[int] = (), before_id: int | None = None) -> JobFilter:
        """Return the same as a filter. Raises `UsageError`."""
        numbers = frozenset(ids)
        return JobFilter(
            ids=numbers or None,
            states=frozenset(map(_state, self.states)) or None,
            queues=frozenset(self.queues) or None,
            workers=frozenset(self.workers) or None,
            tags=frozenset(tag.strip().lower() for tag in self.tags) or None,
            args={path: _scalar(path, value) for path, value in named_values("--args", self.args).items()},
            before_id=before_id,
        )


def numbers_of(arguments: Sequence[str], of: str = "a job") -> list[int]:
    """Return the numbers of jobs, or of what else has some. Raises `UsageError`."""
    for argument in arguments:
        if not argument.isascii() or not argument.isdigit():
            raise UsageError("NUMBER", f"{argument!r} is no number of {of}: write numbers, as in 17 18")
    return [int(argument) for argument in arguments]


def named_values(where: str, arguments: Sequence[str]) -> dict[str, object]:
    """Return `name=value` words as values: JSON where it is some, and text otherwise. Raises `UsageError`."""
    found: dict[str, object] = {}
    for argument in arguments:
        name, sign, text = argument.partition("=")
        if not (name and sign):
            raise UsageError(where, f"{argument!r} is no argument: write name=value, as in sku=abc or number=7")
        if name in found:
            raise UsageError(where, f"the argument {name} is there twice: give it one value")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def is_confirmed(found: str, verb: str, *, is_yes: bool) -> bool:
    """Ask on a terminal, and wait for the answer. Raises `UsageError` where nobody could answer."""
    if is_yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("--yes", f"{found}. Add --yes to {verb} them; there is no terminal to ask on")
    print(f"{found}. {verb.capitalize()} them? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _state(argument: str) -> JobState:
    for state in STATES:
        if state == argument:
            return state
    raise UsageError("--state", f"{argument!r} is no state of a job: write one of {', '.join(STATES)}")


def _scalar(path: str, value: object) -> Scalar:
    if isinstance(value, Mapping | list):
        raise UsageError("--args", f"the value of {path} must be text, a number, true, false or null")
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)
