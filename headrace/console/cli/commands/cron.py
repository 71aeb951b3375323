"""`headrace cron`: lists the entries of a config's crontab, and enqueues one at once."""

from typing import Annotated

import typer

File = Annotated[str, typer.Argument(help="The config file.", metavar="FILE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

app = typer.Typer(no_args_is_help=True, help="List what is enqueued by the clock, and enqueue it at once.")


@app.command("list")
def list_(file: File, *, as_json: AsJson = False) -> None:
    """List the entries: headrace cron list FILE."""
    from headrace.console.cli.commands.cron_work import list_cron
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(run_command(lambda: list_cron(Target(file, None), as_json=as_json), as_json=as_json))


@app.command()
def run(
    file: File,
    name: Annotated[str, typer.Argument(help="The entry's name, as `cron list` says it.", metavar="NAME")],
    *,
    as_json: AsJson = False,
) -> None:
    """Enqueue the job of an entry now: headrace cron run FILE NAME."""
    from headrace.console.cli.commands.cron_work import run_cron
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(run_command(lambda: run_cron(Target(file, None, (name,)), as_json=as_json), as_json=as_json))
