"""`headrace dead-letters`: lists, shows, replays and drops events that failed for good."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headrace.console.cli.letter_selection import LetterSelection

Words = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store).", metavar="[FILE]"),
]
Shown = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store), then numbers of letters.", metavar="[FILE] NUMBER..."),
]
Changed = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store), then numbers of letters.", metavar="[FILE] [NUMBER]..."),
]
Store = Annotated[str | None, typer.Option(help="The store's URL, instead of a config file.", metavar="URL")]
Stages = Annotated[
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
    stage: Stages = None,
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
    from headrace.console.cli.commands.letter_work import Page, list_letters
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
def show(words: Shown = None, *, store: Store = None, as_json: AsJson = False) -> None:
    """Show all there is about letters, the traceback too: headrace dead-letters show FILE NUMBER..."""
    from headrace.console.cli.commands.letter_work import show_letters
    from headrace.console.cli.job_target import run_command
    from headrace.console.cli.letter_target import LetterTarget

    raise typer.Exit(
        run_command(lambda: show_letters(LetterTarget.of(words or [], store), as_json=as_json), as_json=as_json)
    )


@app.command()
def replay(  # noqa: PLR0913 - to typer each option is a parameter
    words: Changed = None,
    *,
    store: Store = None,
    stage: Stages = None,
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
    from headrace.console.cli.commands.letter_work import change_letters, replaying, unmarking
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
    words: Changed = None,
    *,
    store: Store = None,
    stage: Stages = None,
    error: Errors = None,
    older: Older = None,
    every: All = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete letters for good: headrace dead-letters drop FILE NUMBER..., or by a filter."""
    from headrace.console.cli.commands.letter_work import DROPPING, change_letters
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
) -> "LetterSelection":
    from headrace.console.cli.letter_selection import LetterSelection

    return LetterSelection(tuple(stage or ()), tuple(error or ()), older, every)
