"""Dead letters as tables for people."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from headrace.console.cli.commands.jobs import table_of
from headrace.console.cli.job_selection import is_confirmed, numbers_of
from headrace.console.cli.job_target import CommandFailed, UsageError
from headrace.console.cli.letter_selection import DeadLetterSelectionOptions, rate_of
from headrace.console.cli.letter_target import LetterTarget, OpenDeadLetters
from headrace.console.cli.output import ExitCode, print_json, print_tables
from headrace.console.letter_values import LIST_CHARACTERS, letter_values
from headrace.pipeline.acknowledgement.dead_letter import DeadLetter, EventForm
from headrace.pipeline.acknowledgement.dead_letters import DeadLetterFilter, DeadLetterStore

_SHORT = 60  # characters of an event or an error in a line of a list


def letter_table(letters: Sequence[DeadLetter], *, with_pipeline: bool) -> Table:
    """Return a line for each letter."""
    headings = ("letter", *(("pipeline",) if with_pipeline else ()), "stage", "event", "error", "tries", "failed", "")
    rows = [
        (
            letter.id,
            *((letter.pipeline,) if with_pipeline else ()),
            letter.stage,
            _short(letter.event),
            _short(f"{letter.error_type}: {letter.error}"),
            letter.attempts,
            f"{letter.at:%Y-%m-%d %H:%M:%S}",
            _state(letter),
        )
        for letter in letters
    ]
    return table_of(headings, rows, ("letter", "tries"))


def letter_lines(letter: DeadLetter) -> Table:
    """Return all there is about one letter."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in (
        ("letter", letter.id),
        ("pipeline", letter.pipeline),
        ("stage", letter.stage),
        ("tries", letter.attempts),
        ("failed", letter.at.isoformat()),
        ("event", letter.event),
        ("kept as", _FORMS[letter.form]),
        ("metadata", letter.metadata or None),
        ("state", _state(letter) or None),
        ("error", f"{letter.error_type}: {letter.error}"),
        ("traceback", letter.traceback.rstrip()),
    ):
        if value is not None:
            table.add_row(Text(name), Text(printable(str(value))))
    return table


def printable(text: str) -> str:
    """Return text that does nothing to a terminal: what it would obey is written as an escape."""
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


_FORMS = {
    EventForm.JSON: "JSON",
    EventForm.BASE64: "bytes, in base64",
    EventForm.REPR: "a description; it cannot be replayed",
    EventForm.CUT: "a beginning, for it was too long; it cannot be replayed",
}


def _state(letter: DeadLetter) -> str:
    if letter.is_taken:
        return "is replayed"
    if letter.replay_at is not None:
        return "waits for its replay"
    return "" if letter.is_replayable else "not replayable"


def _short(text: str) -> str:
    line = printable(text.partition("\n")[0][: _SHORT + 1])
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"


DeadLetterChange = Callable[[DeadLetterStore, DeadLetterFilter], Awaitable[int]]


class NoDeadLetter(CommandFailed):
    """There is no letter of that number."""

    def __init__(self, number: int, pipeline: str | None) -> None:
        where = "the store" if pipeline is None else f"the pipeline {pipeline}"
        super().__init__(f"{where} has no dead letter {number}: see which there are by headrace dead-letters list")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list."""

    limit: int
    before_id: int | None
    only_marked: bool


@dataclass(frozen=True, slots=True)
class DeadLetterVerb:
    """A change of letters: how it is said, how it is done, and whether it needs stages that take them."""

    word: str
    past: str
    change: DeadLetterChange
    is_replay: bool = False
    past_of_one: str = ""


DROPPING = DeadLetterVerb("drop", "dropped", lambda store, which: store.drop(which))


def replaying(rate: str | None) -> DeadLetterVerb:
    """Return the change that has letters replayed. Raises `UsageError`."""
    per_second = None if rate is None else rate_of(rate).per_second
    past = "wait to be replayed: a run takes them at once, or the next one does"
    one = "waits to be replayed: a run takes it at once, or the next one does"
    return DeadLetterVerb(
        "replay", past, lambda store, which: store.mark(which, per_second), is_replay=True, past_of_one=one
    )


def unmarking(rate: str | None) -> DeadLetterVerb:
    """Return the change that takes letters off the replay. Raises `UsageError`."""
    if rate is not None:
        raise UsageError("--rate", "nothing is replayed with --cancel: leave one of them out")
    return DeadLetterVerb(
        "stop replaying",
        "are no longer to be replayed",
        lambda store, which: store.unmark(which),
        past_of_one="is no longer to be replayed",
    )


async def list_letters(
    target: LetterTarget, selection: DeadLetterSelectionOptions, page: Page, *, as_json: bool
) -> ExitCode:
    """Print the newest letters first."""
    async with target.opened() as letters:
        which = replace(selection.filter(letters.pipeline), is_marked=True if page.only_marked else None)
        found = await letters.store.find(
            replace(which, before_id=page.before_id), page.limit, most_characters=LIST_CHARACTERS
        )
        total = await letters.store.count(which)
    if as_json:
        values = [letter_values(letter, is_whole=False) for letter in found]
        print_json({"exit_code": 0, "total": total, "letters": values})
    else:
        print_tables(letter_table(found, with_pipeline=target.file is None), f"{len(found):,} of {_letters(total)}")
        if len(found) == page.limit < total:
            print_tables(f"the next ones: --before {found[-1].id}")
    return ExitCode.FINE


async def show_letters(target: LetterTarget, *, as_json: bool) -> ExitCode:
    """Print all there is about some letters. Raises `CommandFailed` when one is not there."""
    numbers = numbers_of(target.words, "a letter")
    if not numbers:
        raise UsageError("NUMBER", "name the letters by their numbers, as in headrace dead-letters show shop.yaml 17")
    async with target.opened() as letters:
        which = DeadLetterFilter(ids=frozenset(numbers), pipeline=letters.pipeline)
        found = await letters.store.find(which, len(numbers), is_newest_first=False)
    missing = sorted(set(numbers) - {letter.id for letter in found})
    if missing:
        raise NoDeadLetter(missing[0], letters.pipeline)
    if as_json:
        print_json({"exit_code": 0, "letters": [letter_values(letter, is_whole=True) for letter in found]})
    else:
        print_tables(*(letter_lines(letter) for letter in found))
    return ExitCode.FINE


async def change_letters(
    target: LetterTarget, selection: DeadLetterSelectionOptions, verb: DeadLetterVerb, *, is_yes: bool, as_json: bool
) -> ExitCode:
    """Change letters by their numbers at once; those of a filter once it is said how many they are, and agreed to."""
    numbers = numbers_of(target.words, "a letter")
    if not numbers and selection.is_empty:
        why = f"say which letters to {verb.word}: by their numbers, or by --stage, --error, --older or --all"
        raise UsageError("NUMBER", why)
    async with target.opened() as letters:
        which = selection.filter(letters.pipeline, numbers)
        if not numbers:
            count = await letters.store.count(which)
            if count and not is_confirmed(
                f"{_letters(count)} {'matches' if count == 1 else 'match'}", verb.word, is_yes=is_yes
            ):
                return ExitCode.FAILED
        changed = await verb.change(letters.store, which)
        strangers = await _strangers(letters, which) if verb.is_replay else []
    missed = max(0, len(set(numbers)) - changed)
    if as_json:
        print_json({"exit_code": int(bool(missed)), "changed": changed, "unchanged": missed, "no_stage": strangers})
    else:
        print_tables(_said(changed, verb), *_remarks(missed, strangers))
    return ExitCode.FAILED if missed else ExitCode.FINE


async def _strangers(letters: OpenDeadLetters, which: DeadLetterFilter) -> list[str]:
    """Return stages of letters that wait, of which the config has none."""
    if letters.config is None:
        return []
    waiting = frozenset(await letters.store.waiting(letters.config.name))
    return letters.strangers(waiting & (which.stages or waiting))


def _letters(count: int) -> str:
    return f"{count:,} dead letter" if count == 1 else f"{count:,} dead letters"


def _said(count: int, verb: DeadLetterVerb) -> str:
    return f"{_letters(count)} {(count == 1 and verb.past_of_one) or verb.past}"


def _remarks(missed: int, strangers: Sequence[str]) -> list[str]:
    remarks = (
        [f"{missed:,} {'is left as it is' if missed == 1 else 'are left as they are'}, or not there"] if missed else []
    )
    return remarks + [f"the config has no stage {stage!r}: its letters wait until it has" for stage in strangers]


Words = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store).", metavar="[FILE]"),
]
ShownDeadLetters = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store), then numbers of letters.", metavar="[FILE] NUMBER..."),
]
DeadLettersChanged = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store), then numbers of letters.", metavar="[FILE] [NUMBER]..."),
]
Store = Annotated[str | None, typer.Option(help="The store's URL, instead of a config file.", metavar="URL")]
StageOption = Annotated[
    list[str] | None, typer.Option("--stage", help="Only letters of this stage; may be given again.", metavar="STAGE")
]
Errors = Annotated[
    list[str] | None, typer.Option("--error", help="Only errors of this class, as in ValueError.", metavar="CLASS")
]
Older = Annotated[str | None, typer.Option(help="Only what failed longer ago than that, as in 1h.", metavar="TIME")]
All = Annotated[bool, typer.Option("--all", help="All letters.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, however many they are.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

app = typer.Typer(no_args_is_help=True, help="List, show, replay and drop events that failed for good.")


@app.command("list")
def list_(  # noqa: PLR0913 - to typer each option is a parameter
    words: Words = None,
    *,
    store: Store = None,
    stage: StageOption = None,
    error: Errors = None,
    older: Older = None,
    marked: Annotated[bool, typer.Option("--marked", help="Only letters that wait to be replayed.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.", metavar="COUNT")] = 50,
    before: Annotated[
        int | None, typer.Option(help="Only letters before this number: the next page.", metavar="NUMBER")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List letters, the newest first: headrace dead-letters list FILE."""
    from headrace.console.cli.job_target import run_command
    from headrace.console.cli.letter_target import LetterTarget

    selection = _selection(stage, error, older)
    page = Page(limit, before, only_marked=marked)
    raise typer.Exit(
        run_command(
            lambda: list_letters(LetterTarget.of(words or [], store, are_more=False), selection, page, as_json=as_json),
            as_json=as_json,
        )
    )


@app.command()
def show(words: ShownDeadLetters = None, *, store: Store = None, as_json: AsJson = False) -> None:
    """Show all there is about letters, the traceback too: headrace dead-letters show FILE NUMBER..."""
    from headrace.console.cli.job_target import run_command
    from headrace.console.cli.letter_target import LetterTarget

    raise typer.Exit(
        run_command(lambda: show_letters(LetterTarget.of(words or [], store), as_json=as_json), as_json=as_json)
    )


@app.command()
def replay(  # noqa: PLR0913 - to typer each option is a parameter
    words: DeadLettersChanged = None,
    *,
    store: Store = None,
    stage: StageOption = None,
    error: Errors = None,
    older: Older = None,
    every: All = False,
    rate: Annotated[str | None, typer.Option(help="At most so many, as in 100/s.", metavar="RATE")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take letters off the replay.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Send letters into the stages where they failed again: headrace dead-letters replay FILE NUMBER...

    A filter may take the place of the numbers. A running pipeline replays them at once, any other in its next run.
    """
    from headrace.console.cli.job_target import run_command
    from headrace.console.cli.letter_target import LetterTarget

    selection = _selection(stage, error, older, every=every)
    raise typer.Exit(
        run_command(
            lambda: change_letters(
                LetterTarget.of(words or [], store),
                selection,
                unmarking(rate) if cancel else replaying(rate),
                is_yes=yes,
                as_json=as_json,
            ),
            as_json=as_json,
        )
    )


@app.command()
def drop(  # noqa: PLR0913 - to typer each option is a parameter
    words: DeadLettersChanged = None,
    *,
    store: Store = None,
    stage: StageOption = None,
    error: Errors = None,
    older: Older = None,
    every: All = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete letters for good: headrace dead-letters drop FILE NUMBER..., or by a filter."""
    from headrace.console.cli.job_target import run_command
    from headrace.console.cli.letter_target import LetterTarget

    selection = _selection(stage, error, older, every=every)
    raise typer.Exit(
        run_command(
            lambda: change_letters(
                LetterTarget.of(words or [], store), selection, DROPPING, is_yes=yes, as_json=as_json
            ),
            as_json=as_json,
        )
    )


def _selection(
    stage: list[str] | None, error: list[str] | None, older: str | None, *, every: bool = False
) -> "DeadLetterSelectionOptions":
    from headrace.console.cli.letter_selection import DeadLetterSelectionOptions

    return DeadLetterSelectionOptions(tuple(stage or ()), tuple(error or ()), older, every)
