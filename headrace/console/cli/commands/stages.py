"""`headrace stages`: lists, pauses, resumes and changes the stages of a run, over its HTTP API."""

from typing import Annotated

import typer

File = Annotated[
    list[str] | None, typer.Argument(help="The config file of the run (not with --url).", metavar="[FILE]")
]
Named = Annotated[
    list[str] | None,
    typer.Argument(help="The config file of the run (not with --url), then the stages.", metavar="[FILE] NAME..."),
]
One = Annotated[
    list[str] | None,
    typer.Argument(help="The config file of the run (not with --url), then the stage.", metavar="[FILE] NAME"),
]
Url = Annotated[
    str | None,
    typer.Option(help="Where the run listens, instead of its file; HEADRACE_TOKEN is its token.", metavar="URL"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

app = typer.Typer(no_args_is_help=True, help="List, pause, resume and change the stages of a run.")


@app.command("list")
def list_(words: File = None, *, url: Url = None, as_json: AsJson = False) -> None:
    """List stages, how they stand and what they ask for: headrace stages list FILE."""
    from headrace.console.cli.commands.stage_work import list_stages
    from headrace.console.cli.job_target import run_command
    from headrace.console.cli.run_target import RunTarget

    raise typer.Exit(
        run_command(
            lambda: list_stages(RunTarget.of(words or [], url, are_more=False), as_json=as_json), as_json=as_json
        )
    )


@app.command()
def pause(words: Named = None, *, url: Url = None, as_json: AsJson = False) -> None:
    """Give stages no new events; work in progress continues: headrace stages pause FILE NAME..."""
    _pause(words, url, is_paused=True, as_json=as_json)


@app.command()
def resume(words: Named = None, *, url: Url = None, as_json: AsJson = False) -> None:
    """Have paused stages go on: headrace stages resume FILE NAME..."""
    _pause(words, url, is_paused=False, as_json=as_json)


@app.command()
def change(  # noqa: PLR0913 - to typer each option is a parameter
    words: One = None,
    *,
    url: Url = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Events that are handled at a time.", metavar="COUNT")
    ] = None,
    buffer_size: Annotated[
        str | None, typer.Option(help="Events that may be buffered, or none for no limit.", metavar="COUNT")
    ] = None,
    demand: Annotated[
        list[str] | None,
        typer.Option(help="How much to ask of a producer; may be given again.", metavar="PRODUCER=MAX[:MIN]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a stage while it runs, until the run ends: headrace stages change FILE NAME --concurrency 8."""
    from headrace.console.cli.commands.stage_work import change_stage, change_words
    from headrace.console.cli.job_target import run_command
    from headrace.console.cli.run_target import RunTarget

    raise typer.Exit(
        run_command(
            lambda: change_stage(
                RunTarget.of(words or [], url),
                change_words(concurrency, buffer_size, demand or []),
                as_json=as_json,
            ),
            as_json=as_json,
        )
    )


def _pause(words: list[str] | None, url: str | None, *, is_paused: bool, as_json: bool) -> None:
    from headrace.console.cli.commands.stage_work import pause_stages
    from headrace.console.cli.job_target import run_command
    from headrace.console.cli.run_target import RunTarget

    raise typer.Exit(
        run_command(
            lambda: pause_stages(RunTarget.of(words or [], url), is_paused=is_paused, as_json=as_json),
            as_json=as_json,
        )
    )
