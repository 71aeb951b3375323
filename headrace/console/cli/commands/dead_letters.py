"""Dead letters as tables for people."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from headrace.console.cli.commands.jobs import table_of
from headrace.console.cli.dead_letter_selection import DeadLetterSelectionOptions, rate_of
from headrace.console.cli.dead_letter_target import DeadLetterTarget, OpenDeadLetters
from headrace.console.cli.job_selection import is_confirmed, numbers_of
from headrace.console.cli.job_target import CommandFailed, UsageError
from headrace.console.cli.options import JsonOption, StageOption, StoreOption, TargetArguments, YesOption
from headrace.console.cli.output import print_json, print_tables
from headrace.console.cli.streams import ExitCode
from headrace.dead_letters.dead_letter import LIST_CHARACTERS, DeadLetter, EventForm, dead_letter_json
from headrace.dead_letters.store import DeadLetterFilter, DeadLetterStore

_SHORT = 60  # characters of an event or an error in a line of a list


def dead_letter_table(dead_letters: Sequence[DeadLetter], *, with_pipeline: bool) -> Table:
    """Return a table with one line for each dead letter."""
    headings = ("letter", *(("pipeline",) if with_pipeline else ()), "stage", "event", "error", "tries", "failed", "")
    rows = [
        (
            dead_letter.id,
            *((dead_letter.pipeline,) if with_pipeline else ()),
            dead_letter.stage,
            _short(dead_letter.event),
            _short(f"{dead_letter.error_type}: {dead_letter.error}"),
            dead_letter.attempts,
            f"{dead_letter.at:%Y-%m-%d %H:%M:%S}",
            _state(dead_letter),
        )
        for dead_letter in dead_letters
    ]
    return table_of(headings, rows, ("letter", "tries"))


def dead_letter_lines(dead_letter: DeadLetter) -> Table:
    """Return one whole dead letter as a table."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in (
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
    ):
        if value is not None:
            table.add_row(Text(name), Text(printable(str(value))))
    return table


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


def _short(text: str) -> str:
    line = printable(text.partition("\n")[0][: _SHORT + 1])
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"


DeadLetterChange = Callable[[DeadLetterStore, DeadLetterFilter], Awaitable[int]]


class NoDeadLetter(CommandFailed):
    """There is no dead letter of that number."""

    def __init__(self, number: int, pipeline: str | None) -> None:
        where = "the store" if pipeline is None else f"the pipeline {pipeline}"
        super().__init__(f"{where} has no dead letter {number}: see which there are by headrace dead-letters list")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list."""

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


async def list_dead_letters(
    target: DeadLetterTarget, selection: DeadLetterSelectionOptions, page: Page, *, as_json: bool
) -> ExitCode:
    """Print dead letters, newest first."""
    async with target.opened() as dead_letters:
        which = replace(
            selection.filter(dead_letters.pipeline), is_waiting_for_replay=True if page.only_waiting else None
        )
        found = await dead_letters.store.find(
            replace(which, before_id=page.before_id), page.limit, most_characters=LIST_CHARACTERS
        )
        total = await dead_letters.store.count(which)
    if as_json:
        values = [dead_letter_json(dead_letter, is_whole=False) for dead_letter in found]
        print_json({"exit_code": 0, "total": total, "dead_letters": values})
    else:
        print_tables(
            dead_letter_table(found, with_pipeline=target.file is None), f"{len(found):,} of {_counted(total)}"
        )
        if len(found) == page.limit < total:
            print_tables(f"the next ones: --before {found[-1].id}")
    return ExitCode.FINE


async def show_dead_letters(target: DeadLetterTarget, *, as_json: bool) -> ExitCode:
    """Print whole dead letters. Raises `CommandFailed` when one does not exist."""
    numbers = numbers_of(target.arguments, "a letter")
    if not numbers:
        raise UsageError("NUMBER", "name the letters by their numbers, as in headrace dead-letters show shop.yaml 17")
    async with target.opened() as dead_letters:
        which = DeadLetterFilter(ids=frozenset(numbers), pipeline=dead_letters.pipeline)
        found = await dead_letters.store.find(which, len(numbers), is_newest_first=False)
    missing = sorted(set(numbers) - {dead_letter.id for dead_letter in found})
    if missing:
        raise NoDeadLetter(missing[0], dead_letters.pipeline)
    if as_json:
        print_json(
            {"exit_code": 0, "dead_letters": [dead_letter_json(dead_letter, is_whole=True) for dead_letter in found]}
        )
    else:
        print_tables(*(dead_letter_lines(dead_letter) for dead_letter in found))
    return ExitCode.FINE


async def change_dead_letters(
    target: DeadLetterTarget,
    selection: DeadLetterSelectionOptions,
    verb: DeadLetterVerb,
    *,
    is_yes: bool,
    as_json: bool,
) -> ExitCode:
    """Change dead letters: by number at once, by a filter after their count is confirmed."""
    numbers = numbers_of(target.arguments, "a letter")
    if not numbers and selection.is_empty:
        why = f"say which letters to {verb.name}: by their numbers, or by --stage, --error, --older or --all"
        raise UsageError("NUMBER", why)
    async with target.opened() as dead_letters:
        which = selection.filter(dead_letters.pipeline, numbers)
        if not numbers:
            count = await dead_letters.store.count(which)
            if count and not is_confirmed(
                f"{_counted(count)} {'matches' if count == 1 else 'match'}", verb.name, is_yes=is_yes
            ):
                return ExitCode.FAILED
        changed = await verb.change(dead_letters.store, which)
        unknown_stages = await _unknown_stages(dead_letters, which) if verb.is_replay else []
    missed = max(0, len(set(numbers)) - changed)
    if as_json:
        print_json(
            {"exit_code": int(bool(missed)), "changed": changed, "unchanged": missed, "no_stage": unknown_stages}
        )
    else:
        print_tables(_message(changed, verb), *_remarks(missed, unknown_stages))
    return ExitCode.FAILED if missed else ExitCode.FINE


async def _unknown_stages(dead_letters: OpenDeadLetters, which: DeadLetterFilter) -> list[str]:
    """Return the stages of waiting dead letters that the config does not have."""
    if dead_letters.config is None:
        return []
    waiting = frozenset(await dead_letters.store.waiting(dead_letters.config.name))
    return dead_letters.unknown_stages(waiting & (which.stages or waiting))


def _counted(count: int) -> str:
    return f"{count:,} dead letter" if count == 1 else f"{count:,} dead letters"


def _message(count: int, verb: DeadLetterVerb) -> str:
    return f"{_counted(count)} {(count == 1 and verb.past_of_one) or verb.past}"


def _remarks(missed: int, unknown_stages: Sequence[str]) -> list[str]:
    remarks = (
        [f"{missed:,} {'is left as it is' if missed == 1 else 'are left as they are'}, or not there"] if missed else []
    )
    return remarks + [f"the config has no stage {stage!r}: its letters wait until it has" for stage in unknown_stages]


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
Older = Annotated[str | None, typer.Option(help="Only what failed longer ago than that, as in 1h.", metavar="TIME")]
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
    limit: Annotated[int, typer.Option(min=1, help="How many at most.", metavar="COUNT")] = 50,
    before: Annotated[
        int | None, typer.Option(help="Only letters before this number: the next page.", metavar="NUMBER")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest first: headrace dead-letters list FILE."""
    from headrace.console.cli.dead_letter_target import DeadLetterTarget
    from headrace.console.cli.job_target import run_command

    selection = _selection(stage, error, older)
    page = Page(limit, before, only_waiting=waiting)
    raise typer.Exit(
        run_command(
            lambda: list_dead_letters(
                DeadLetterTarget.of(arguments or [], store, are_more=False), selection, page, as_json=as_json
            ),
            as_json=as_json,
        )
    )


@app.command()
def show(arguments: ShownDeadLetters = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show whole dead letters, the traceback too: headrace dead-letters show FILE NUMBER..."""
    from headrace.console.cli.dead_letter_target import DeadLetterTarget
    from headrace.console.cli.job_target import run_command

    raise typer.Exit(
        run_command(
            lambda: show_dead_letters(DeadLetterTarget.of(arguments or [], store), as_json=as_json), as_json=as_json
        )
    )


@app.command()
def replay(  # noqa: PLR0913 - to typer each option is a parameter
    arguments: DeadLettersChanged = None,
    *,
    store: StoreOption = None,
    stage: StageOption = None,
    error: Errors = None,
    older: Older = None,
    every: All = False,
    rate: Annotated[str | None, typer.Option(help="At most so many, as in 100/s.", metavar="RATE")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take letters off the replay.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters into the stages where they failed again: headrace dead-letters replay FILE NUMBER...

    A filter may take the place of the numbers. A running pipeline replays them at once, any other in its next run.
    """
    from headrace.console.cli.dead_letter_target import DeadLetterTarget
    from headrace.console.cli.job_target import run_command

    selection = _selection(stage, error, older, every=every)
    raise typer.Exit(
        run_command(
            lambda: change_dead_letters(
                DeadLetterTarget.of(arguments or [], store),
                selection,
                cancelling(rate) if cancel else replaying(rate),
                is_yes=yes,
                as_json=as_json,
            ),
            as_json=as_json,
        )
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
    from headrace.console.cli.dead_letter_target import DeadLetterTarget
    from headrace.console.cli.job_target import run_command

    selection = _selection(stage, error, older, every=every)
    raise typer.Exit(
        run_command(
            lambda: change_dead_letters(
                DeadLetterTarget.of(arguments or [], store), selection, DROPPING, is_yes=yes, as_json=as_json
            ),
            as_json=as_json,
        )
    )


def _selection(
    stage: list[str] | None, error: list[str] | None, older: str | None, *, every: bool = False
) -> "DeadLetterSelectionOptions":
    from headrace.console.cli.dead_letter_selection import DeadLetterSelectionOptions

    return DeadLetterSelectionOptions(tuple(stage or ()), tuple(error or ()), older, every)
