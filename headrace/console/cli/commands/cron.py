"""The commands `headrace cron ...`: list the entries of the crontab, and enqueue one now."""

from typing import Annotated

import typer

from headrace.config.jobs import crontab
from headrace.console.cli.commands.jobs import inserted_result
from headrace.console.cli.output import iso
from headrace.console.cli.streams import JsonOption
from headrace.console.cli.tables import Result, run_command, table_of, time_text
from headrace.console.cli.target import FileArgument, Target


async def list_cron(target: Target) -> Result:
    """Return the entries, when they were enqueued last, and when they are due next."""
    configured = target.configured_jobs(imports=False)
    async with target.store("inserts", must_have_jobs=True) as jobs:
        entries = await crontab(configured.keys, configured.workers, jobs.store, jobs.settings).status()
    described = [(one.entry.name, one.entry.schedule, one.entry.timezone, one.entry.worker) for one in entries]
    values = [
        {
            **dict(zip(("name", "schedule", "timezone", "worker"), texts, strict=True)),
            "last_at": iso(one.last_at),
            "next_at": iso(one.next_at),
        }
        for texts, one in zip(described, entries, strict=True)
    ]
    rows = [
        (*texts, time_text(one.last_at, "never"), time_text(one.next_at, "never"))
        for texts, one in zip(described, entries, strict=True)
    ]
    table = table_of(("entry", "schedule", "timezone", "worker", "last (UTC)", "next (UTC)"), rows)
    return Result({"cron": values}, [table])


async def run_cron(target: Target) -> Result:
    """Enqueue the job of an entry now, besides its times. Raises `BadCrontab` when no entry has that name."""
    configured = target.configured_jobs(imports=True)
    async with target.store("inserts") as jobs:
        entries = crontab(configured.keys, configured.workers, jobs.store, jobs.settings)
        inserted = await entries.run_now(target.arguments[0])
    return inserted_result(inserted)


app = typer.Typer(add_completion=False, no_args_is_help=True, help="List the cron entries, and enqueue their jobs now.")


@app.command("list")
def list_(file: FileArgument, *, as_json: JsonOption = False) -> None:
    """List the entries: headrace cron list FILE."""
    run_command(lambda: list_cron(Target(file)), as_json=as_json)


@app.command()
def run(
    file: FileArgument,
    name: Annotated[str, typer.Argument(help="The entry's name, as `cron list` shows it.", metavar="NAME")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Enqueue the job of an entry now: headrace cron run FILE NAME."""
    run_command(lambda: run_cron(Target(file, arguments=(name,))), as_json=as_json)
