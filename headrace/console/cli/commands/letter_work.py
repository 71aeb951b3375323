"""What the commands about dead letters do."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from headrace.console.cli.commands.letter_view import letter_lines, letter_table
from headrace.console.cli.job_selection import is_confirmed, numbers_of
from headrace.console.cli.job_target import CommandFailed, UsageError
from headrace.console.cli.letter_selection import LetterSelection, rate_of
from headrace.console.cli.letter_target import LetterTarget, OpenLetters
from headrace.console.cli.output import ExitCode, print_json, print_tables
from headrace.console.letter_values import LIST_CHARACTERS, letter_values
from headrace.pipeline.acknowledgement.dead_letters import DeadLetters, LetterFilter

Change = Callable[[DeadLetters, LetterFilter], Awaitable[int]]


class NoLetter(CommandFailed):
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
class LetterVerb:
    """A change of letters: how it is said, how it is done, and whether it needs stages that take them."""

    word: str
    past: str
    change: Change
    is_replay: bool = False
    past_of_one: str = ""


DROPPING = LetterVerb("drop", "dropped", lambda store, which: store.drop(which))


def replaying(rate: str | None) -> LetterVerb:
    """Return the change that has letters replayed. Raises `UsageError`."""
    per_second = None if rate is None else rate_of(rate).per_second
    past = "wait to be replayed: a run takes them at once, or the next one does"
    one = "waits to be replayed: a run takes it at once, or the next one does"
    return LetterVerb(
        "replay", past, lambda store, which: store.mark(which, per_second), is_replay=True, past_of_one=one
    )


def unmarking(rate: str | None) -> LetterVerb:
    """Return the change that takes letters off the replay. Raises `UsageError`."""
    if rate is not None:
        raise UsageError("--rate", "nothing is replayed with --cancel: leave one of them out")
    return LetterVerb(
        "stop replaying",
        "are no longer to be replayed",
        lambda store, which: store.unmark(which),
        past_of_one="is no longer to be replayed",
    )


async def list_letters(target: LetterTarget, selection: LetterSelection, page: Page, *, as_json: bool) -> ExitCode:
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
        which = LetterFilter(ids=frozenset(numbers), pipeline=letters.pipeline)
        found = await letters.store.find(which, len(numbers), is_newest_first=False)
    missing = sorted(set(numbers) - {letter.id for letter in found})
    if missing:
        raise NoLetter(missing[0], letters.pipeline)
    if as_json:
        print_json({"exit_code": 0, "letters": [letter_values(letter, is_whole=True) for letter in found]})
    else:
        print_tables(*(letter_lines(letter) for letter in found))
    return ExitCode.FINE


async def change_letters(
    target: LetterTarget, selection: LetterSelection, verb: LetterVerb, *, is_yes: bool, as_json: bool
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


async def _strangers(letters: OpenLetters, which: LetterFilter) -> list[str]:
    """Return stages of letters that wait, of which the config has none."""
    if letters.config is None:
        return []
    waiting = frozenset(await letters.store.waiting(letters.config.name))
    return letters.strangers(waiting & (which.stages or waiting))


def _letters(count: int) -> str:
    return f"{count:,} dead letter" if count == 1 else f"{count:,} dead letters"


def _said(count: int, verb: LetterVerb) -> str:
    return f"{_letters(count)} {(count == 1 and verb.past_of_one) or verb.past}"


def _remarks(missed: int, strangers: Sequence[str]) -> list[str]:
    remarks = (
        [f"{missed:,} {'is left as it is' if missed == 1 else 'are left as they are'}, or not there"] if missed else []
    )
    return remarks + [f"the config has no stage {stage!r}: its letters wait until it has" for stage in strangers]
