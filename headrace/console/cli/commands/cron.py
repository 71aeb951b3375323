"""What the commands about the crontab do."""

from datetime import datetime
from typing import Annotated

import typer

from headrace.config.jobs import crontab
from headrace.console.cli.commands.jobs import table_of
from headrace.console.cli.job_target import Target, UsageError
from headrace.console.cli.options import FileArgument, JsonOption
from headrace.console.cli.output import print_json, print_tables
from headrace.console.cli.streams import ExitCode


async def list_cron(target: Target, *, as_json: bool) -> ExitCode:
    """Print the entries, when they were enqueued last, and when they are due next."""
    configured = target.configured(imports=False)
    async with target.opened("inserts", must_have_jobs=True) as jobs:
        entries = await crontab(configured.keys, configured.workers, jobs.store, jobs.settings).status()
    if as_json:
        values = [
            {
                "name": one.entry.name,
                "schedule": one.entry.schedule,
                "timezone": one.entry.timezone,
                "worker": one.entry.worker,
                "last_at": _iso(one.last_at),
                "next_at": _iso(one.next_at),
            }
            for one in entries
        ]
        print_json({"exit_code": 0, "cron": values})
    else:
        rows = [
            (
                one.entry.name,
                one.entry.schedule,
                one.entry.timezone,
                one.entry.worker,
                _when(one.last_at),
                _when(one.next_at),
            )
            for one in entries
        ]
        print_tables(table_of(("entry", "schedule", "timezone", "worker", "last (UTC)", "next (UTC)"), rows))
    return ExitCode.FINE


async def run_cron(target: Target, *, as_json: bool) -> ExitCode:
    """Enqueue the job of an entry now, beside its times. Raises `BadCrontab` when there is none of that name."""
    if len(target.arguments) != 1:
        raise UsageError("NAME", "name one entry, as in headrace cron run shop.yaml nightly")
    configured = target.configured(imports=True)
    async with target.opened("inserts") as jobs:
        inserted = await crontab(configured.keys, configured.workers, jobs.store, jobs.settings).run_now(
            target.arguments[0]
        )
    if as_json:
        print_json({"exit_code": 0, "id": inserted.id, "is_conflict": inserted.is_conflict})
    else:
        print_tables(
            f"job {inserted.id} is there already, and the same"
            if inserted.is_conflict
            else f"job {inserted.id} is enqueued"
        )
    return ExitCode.FINE


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _when(time: datetime | None) -> str:
    return "never" if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="List what is enqueued by the clock, and enqueue it at once."
)


@app.command("list")
def list_(file: FileArgument, *, as_json: JsonOption = False) -> None:
    """List the entries: headrace cron list FILE."""
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(run_command(lambda: list_cron(Target(file, None), as_json=as_json), as_json=as_json))


@app.command()
def run(
    file: FileArgument,
    name: Annotated[str, typer.Argument(help="The entry's name, as `cron list` says it.", metavar="NAME")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Enqueue the job of an entry now: headrace cron run FILE NAME."""
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(run_command(lambda: run_cron(Target(file, None, (name,)), as_json=as_json), as_json=as_json))
