"""`headrace queues`: lists, pauses, resumes and scales queues, in the store of a config or of a URL."""

from typing import Annotated

import typer

File = Annotated[list[str] | None, typer.Argument(help="The config file (not with --store).", metavar="[FILE]")]
Named = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store), then the queues.", metavar="[FILE] NAME..."),
]
Scaled = Annotated[
    list[str] | None,
    typer.Argument(
        help="The config file (not with --store), then the queue and its limit.", metavar="[FILE] NAME [LIMIT]"
    ),
]
Store = Annotated[str | None, typer.Option(help="The store's URL, instead of a config file.", metavar="URL")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

app = typer.Typer(no_args_is_help=True, help="List, pause, resume and scale queues.")


@app.command("list")
def list_(words: File = None, *, store: Store = None, as_json: AsJson = False) -> None:
    """List queues with their limits and jobs: headrace queues list FILE."""
    from headrace.console.cli.commands.queue_work import list_queues
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(
        run_command(
            lambda: list_queues(Target.of(words or [], store, are_more=False), as_json=as_json), as_json=as_json
        )
    )


@app.command()
def pause(words: Named = None, *, store: Store = None, as_json: AsJson = False) -> None:
    """Claim nothing more of queues, in all processes: headrace queues pause FILE NAME..."""
    from headrace.console.cli.commands.queue_work import pause_queues
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(
        run_command(
            lambda: pause_queues(Target.of(words or [], store), is_paused=True, as_json=as_json), as_json=as_json
        )
    )


@app.command()
def resume(words: Named = None, *, store: Store = None, as_json: AsJson = False) -> None:
    """Claim again: headrace queues resume FILE NAME..."""
    from headrace.console.cli.commands.queue_work import pause_queues
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(
        run_command(
            lambda: pause_queues(Target.of(words or [], store), is_paused=False, as_json=as_json), as_json=as_json
        )
    )


@app.command()
def scale(words: Scaled = None, *, store: Store = None, as_json: AsJson = False) -> None:
    """Run so many at a time in each process: headrace queues scale FILE NAME LIMIT; without one, as the config says."""
    from headrace.console.cli.commands.queue_work import scale_queue
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(run_command(lambda: scale_queue(Target.of(words or [], store), as_json=as_json), as_json=as_json))
