"""The commands `headrace dead-letters ...`: list, show, replay and drop events that failed for good."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Final

import typer
from rich.console import RenderableType
from rich.table import Table

from headrace.clock import utc_now
from headrace.config.check.stage_names import stage_names
from headrace.console.cli.output import CommandFailed, UsageError, counted
from headrace.console.cli.streams import ExitCode, JsonOption
from headrace.console.cli.tables import Result, lines_of, run_command, short, table_of, time_text
from headrace.console.cli.target import (
    DEAD_LETTERS,
    OpenDeadLetters,
    StoreOption,
    Target,
    TargetArguments,
    YesOption,
    confirm,
    numbers_of,
)
from headrace.dead_letters.dead_letter import LIST_CHARACTERS, DeadLetter, EventForm, dead_letter_json
from headrace.dead_letters.store import DeadLetterFilter, DeadLetterStore
from headrace.units import Rate, UnitError, parse_duration, parse_rate

_NOUN: Final = "dead letter"
_LINE_LENGTH: Final = 61  # characters of an event or an error that a list looks at: one more than it shows


@dataclass(frozen=True, slots=True)
class DeadLetterSelectionOptions:
    """The options that select dead letters; without any option, all are selected."""

    stages: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    older: str | None = None
    is_all: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no option is given."""
        return not (self.stages or self.errors or self.older or self.is_all)

    def filter(self, pipeline: str | None, ids: Iterable[int] = ()) -> DeadLetterFilter:
        """Return the selection as a filter, for one pipeline if it is named. Raises `UsageError`."""
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


def dead_letter_table(dead_letters: Sequence[DeadLetter], *, with_pipeline: bool) -> Table:
    """Return a table with one line for each dead letter."""
    headings = ("letter", *(("pipeline",) if with_pipeline else ()), "stage", "event", "error", "tries", "failed", "")
    rows = [
        (
            dead_letter.id,
            *((dead_letter.pipeline,) if with_pipeline else ()),
            dead_letter.stage,
            _line(dead_letter.event),
            _line(f"{dead_letter.error_type}: {dead_letter.error}"),
            dead_letter.attempts,
            time_text(dead_letter.at),
            _state(dead_letter),
        )
        for dead_letter in dead_letters
    ]
    return table_of(headings, rows, ("letter", "tries"))


def dead_letter_lines(dead_letter: DeadLetter) -> Table:
    """Return one whole dead letter as a table."""
    values = (
        ("letter", dead_letter.id),
        ("pipeline", dead_letter.pipeline),
        ("stage", dead_letter.stage),
        ("tries", dead_letter.attempts),
        ("failed", dead_letter.at.isoformat()),
        ("event", dead_letter.event),
        ("kept as", _FORMS[dead_letter.form]),
        ("metadata", dead_letter.metadata or None),
        ("state", _state(dead_letter) or None),
        ("error", f"{dead_letter.error_type}: {dead_letter.error}"),
        ("traceback", dead_letter.traceback.rstrip()),
    )
    return lines_of((name, printable(str(value))) for name, value in values if value is not None)


def printable(text: str) -> str:
    """Return text that is safe to print: control characters are written as escapes."""
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


_FORMS = {
    EventForm.JSON: "JSON",
    EventForm.BASE64: "bytes, in base64",
    EventForm.REPR: "a description; it cannot be replayed",
    EventForm.CUT: "a beginning, for it was too long; it cannot be replayed",
}


def _state(dead_letter: DeadLetter) -> str:
    if dead_letter.is_leased:
        return "is replayed"
    if dead_letter.replay_at is not None:
        return "waits for its replay"
    return "" if dead_letter.is_replayable else "not replayable"


def _line(text: str) -> str:
    return short(printable(text.partition("\n")[0][:_LINE_LENGTH]))


DeadLetterChange = Callable[[DeadLetterStore, DeadLetterFilter], Awaitable[int]]


class NoDeadLetter(CommandFailed):
    """The store has no dead letter of that number."""

    def __init__(self, number: int, pipeline: str | None) -> None:
        where = "the store" if pipeline is None else f"the pipeline {pipeline}"
        super().__init__(f"{where} has no dead letter {number}: see which there are by headrace dead-letters list")


@dataclass(frozen=True, slots=True)
class Page:
    """The page of a list."""

    limit: int
    before_id: int | None
    only_waiting: bool


@dataclass(frozen=True, slots=True)
class DeadLetterVerb:
    """A change of dead letters: its name in sentences, its function, and whether it replays them."""

    name: str
    past: str
    change: DeadLetterChange
    is_replay: bool = False
    past_of_one: str = ""


DROPPING = DeadLetterVerb("drop", "dropped", lambda store, which: store.drop(which))


def replaying(rate: str | None) -> DeadLetterVerb:
    """Return the change that requests replays. Raises `UsageError`."""
    per_second = None if rate is None else rate_of(rate).per_second
    past = "wait to be replayed: a run takes them at once, or the next one does"
    one = "waits to be replayed: a run takes it at once, or the next one does"
    return DeadLetterVerb(
        "replay", past, lambda store, which: store.request_replay(which, per_second), is_replay=True, past_of_one=one
    )


def cancelling(rate: str | None) -> DeadLetterVerb:
    """Return the change that cancels replays. Raises `UsageError`."""
    if rate is not None:
        raise UsageError("--rate", "nothing is replayed with --cancel: leave one of them out")
    return DeadLetterVerb(
        "stop replaying",
        "are no longer to be replayed",
        lambda store, which: store.cancel_replay(which),
        past_of_one="is no longer to be replayed",
    )


async def list_dead_letters(target: Target, selection: DeadLetterSelectionOptions, page: Page) -> Result:
    """Return dead letters, newest first."""
    async with target.dead_letters() as dead_letters:
        waiting = True if page.only_waiting else None
        which = replace(selection.filter(dead_letters.pipeline), is_waiting_for_replay=waiting)
        wanted = replace(which, before_id=page.before_id)
        found = await dead_letters.store.find(wanted, page.limit, most_characters=LIST_CHARACTERS)
        total = await dead_letters.store.count(which)
    values = [dead_letter_json(dead_letter, is_whole=False) for dead_letter in found]
    parts: list[RenderableType] = [
        dead_letter_table(found, with_pipeline=target.file is None),
        f"{len(found):,} of {counted(total, _NOUN)}",
    ]
    if len(found) == page.limit < total:
        parts.append(f"the next ones: --before {found[-1].id}")
    return Result({"total": total, "dead_letters": values}, parts)


async def show_dead_letters(target: Target) -> Result:
    """Return whole dead letters. Raises `CommandFailed` when one does not exist."""
    numbers = numbers_of(target.arguments, "a letter")
    if not numbers:
        raise UsageError("NUMBER", "name the letters by their numbers, as in headrace dead-letters show shop.yaml 17")
    async with target.dead_letters() as dead_letters:
        which = DeadLetterFilter(ids=frozenset(numbers), pipeline=dead_letters.pipeline)
        found = await dead_letters.store.find(which, len(numbers), is_newest_first=False)
    missing = sorted(set(numbers) - {dead_letter.id for dead_letter in found})
    if missing:
        raise NoDeadLetter(missing[0], dead_letters.pipeline)
    values = [dead_letter_json(dead_letter, is_whole=True) for dead_letter in found]
    return Result({"dead_letters": values}, map(dead_letter_lines, found))


async def change_dead_letters(
    target: Target,
    selection: DeadLetterSelectionOptions,
    verb: DeadLetterVerb,
    *,
    is_yes: bool,
) -> Result:
    """Change dead letters: by number at once, by a filter after their count is confirmed."""
    numbers = numbers_of(target.arguments, "a letter")
    if not numbers and selection.is_empty:
        why = f"say which letters to {verb.name}: by their numbers, or by --stage, --error, --older or --all"
        raise UsageError("NUMBER", why)
    async with target.dead_letters() as dead_letters:
        store = dead_letters.store
        which = selection.filter(dead_letters.pipeline, numbers)
        if not numbers:
            confirm(await store.count(which), _NOUN, verb.name, is_yes=is_yes)
        changed = await verb.change(store, which)
        unknown_stages = await _unknown_stages(dead_letters, which) if verb.is_replay else []
    missed = max(0, len(set(numbers)) - changed)
    message = f"{counted(changed, _NOUN)} {(changed == 1 and verb.past_of_one) or verb.past}"
    values = {"changed": changed, "unchanged": missed, "no_stage": unknown_stages}
    code = ExitCode.FAILED if missed else ExitCode.FINE
    return Result(values, [message, *_remarks(missed, unknown_stages)], code)


async def _unknown_stages(dead_letters: OpenDeadLetters, which: DeadLetterFilter) -> list[str]:
    """Return the stages of waiting dead letters that the config does not have."""
    if dead_letters.config is None:
        return []
    waiting = frozenset(await dead_letters.store.waiting(dead_letters.config.name))
    return sorted((waiting & (which.stages or waiting)) - stage_names(dead_letters.config.stages))


def _remarks(missed: int, unknown_stages: Sequence[str]) -> list[str]:
    remarks = (
        [f"{missed:,} {'is left as it is' if missed == 1 else 'are left as they are'}, or not there"] if missed else []
    )
    return remarks + [f"the config has no stage {stage!r}: its letters wait until it has" for stage in unknown_stages]


StageOption = Annotated[
    list[str] | None, typer.Option("--stage", help="Only letters of this stage; may be given again.", metavar="STAGE")
]
ShownDeadLetters = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store), then numbers of letters.", metavar="[FILE] NUMBER..."),
]
DeadLettersChanged = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store), then numbers of letters.", metavar="[FILE] [NUMBER]..."),
]
Errors = Annotated[
    list[str] | None, typer.Option("--error", help="Only errors of this class, as in ValueError.", metavar="CLASS")
]
Older = Annotated[str | None, typer.Option(help="Only letters that failed longer ago, as in 1h.", metavar="TIME")]
All = Annotated[bool, typer.Option("--all", help="All letters.")]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="List, show, replay and drop events that failed for good."
)


@app.command("list")
def list_(  # noqa: PLR0913 - to typer each option is a parameter
    arguments: TargetArguments = None,
    *,
    store: StoreOption = None,
    stage: StageOption = None,
    error: Errors = None,
    older: Older = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only letters that wait to be replayed.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="The limit of the list.", metavar="COUNT")] = 50,
    before: Annotated[
        int | None, typer.Option(help="Only letters before this number, for the next page.", metavar="NUMBER")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, newest first: headrace dead-letters list FILE."""
    selection = _selection(stage, error, older)
    page = Page(limit, before, only_waiting=waiting)
    run_command(
        lambda: list_dead_letters(Target.of(DEAD_LETTERS, arguments, store, are_more=False), selection, page),
        as_json=as_json,
    )


@app.command()
def show(arguments: ShownDeadLetters = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show whole dead letters, with their tracebacks: headrace dead-letters show FILE NUMBER..."""
    run_command(lambda: show_dead_letters(Target.of(DEAD_LETTERS, arguments, store)), as_json=as_json)


@app.command()
def replay(  # noqa: PLR0913 - to typer each option is a parameter
    arguments: DeadLettersChanged = None,
    *,
    store: StoreOption = None,
    stage: StageOption = None,
    error: Errors = None,
    older: Older = None,
    every: All = False,
    rate: Annotated[str | None, typer.Option(help="The limit of replays, as in 100/s.", metavar="RATE")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the replay of letters.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters into the stages where they failed again: headrace dead-letters replay FILE NUMBER...

    A filter may replace the numbers. A running pipeline replays them at once, any other in its next run.
    """
    selection = _selection(stage, error, older, every=every)
    run_command(
        lambda: change_dead_letters(
            Target.of(DEAD_LETTERS, arguments, store),
            selection,
            cancelling(rate) if cancel else replaying(rate),
            is_yes=yes,
        ),
        as_json=as_json,
    )


@app.command()
def drop(  # noqa: PLR0913 - to typer each option is a parameter
    arguments: DeadLettersChanged = None,
    *,
    store: StoreOption = None,
    stage: StageOption = None,
    error: Errors = None,
    older: Older = None,
    every: All = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete dead letters for good: headrace dead-letters drop FILE NUMBER..., or by a filter."""
    selection = _selection(stage, error, older, every=every)
    run_command(
        lambda: change_dead_letters(Target.of(DEAD_LETTERS, arguments, store), selection, DROPPING, is_yes=yes),
        as_json=as_json,
    )


def _selection(
    stage: list[str] | None, error: list[str] | None, older: str | None, *, every: bool = False
) -> DeadLetterSelectionOptions:
    return DeadLetterSelectionOptions(tuple(stage or ()), tuple(error or ()), older, every)
