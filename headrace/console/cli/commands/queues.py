"""What the commands about queues do."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import typer

from headrace.console.cli.commands.jobs import table_of
from headrace.console.cli.job_target import Target, UsageError
from headrace.console.cli.options import JsonOption, StoreOption, TargetArguments
from headrace.console.cli.output import print_json, print_tables
from headrace.console.cli.streams import ExitCode
from headrace.jobs.rules.limits import LARGEST_LIMIT, is_limit
from headrace.jobs.stores.store import JobCount, JobStore, QueueSettings

_SHOWN: Final = ("available", "executing", "scheduled", "retryable", "discarded")

_DIGITS: Final = 20  # more are no limit, however they begin; and Python refuses to read thousands


async def list_queues(target: Target, *, as_json: bool) -> ExitCode:
    """Print what is configured, what was said since, and how many jobs there are."""
    limits = _limits(target)
    async with target.opened("queue_controls", "finds", must_have_jobs=True) as jobs:
        settings = {one.queue: one for one in await jobs.store.queue_settings()}
        counts = await jobs.store.counts()
    names = sorted({*limits, *settings, *(one.queue for one in counts)})
    queues = [_values(name, limits.get(name), settings.get(name), counts) for name in names]
    if as_json:
        print_json({"exit_code": 0, "queues": queues})
    else:
        rows = [
            (
                one["queue"],
                one["limit"],
                "paused" if one["is_paused"] else "",
                *(_count(one, state) for state in _SHOWN),
            )
            for one in queues
        ]
        print_tables(table_of(("queue", "limit", "", *_SHOWN), rows, ("limit", *_SHOWN)))
    return ExitCode.FINE


async def pause_queues(target: Target, *, is_paused: bool, as_json: bool) -> ExitCode:
    """Have queues claim nothing more, or claim again; processes that run them apply it within seconds."""
    names = target.arguments
    if not names:
        raise UsageError("NAME", "name the queues, as in headrace queues pause shop.yaml default")
    limits = _limits(target)
    async with target.opened("queue_controls", "finds") as jobs:
        await _check_known(names, limits, jobs.store)
        for name in names:
            await jobs.store.change_queue(name, is_paused=is_paused)
    return _print_changed(f"{'paused' if is_paused else 'resumed'}: {', '.join(names)}", names, as_json=as_json)


async def scale_queue(target: Target, *, as_json: bool) -> ExitCode:
    """Have each process run so many jobs of a queue at a time, or as many as its config says."""
    if len(target.arguments) not in (1, 2):
        raise UsageError("NAME", "name one queue and its limit, as in headrace queues scale shop.yaml default 20")
    name, *rest = target.arguments
    limits = _limits(target)
    async with target.opened("queue_controls", "finds") as jobs:
        await _check_known([name], limits, jobs.store)
        if not rest:
            await jobs.store.forget_queue(name)
            return _print_changed(f"{name}: as the config says again", [name], as_json=as_json)
        limit = int(rest[0]) if rest[0].isascii() and rest[0].isdigit() and len(rest[0]) <= _DIGITS else 0
        if not is_limit(limit):
            raise UsageError("LIMIT", f"{rest[0]!r:.100} is no limit: write a whole number from 1 to {LARGEST_LIMIT:,}")
        await jobs.store.change_queue(name, limit=limit)
    return _print_changed(f"{name}: {limit} at a time", [name], as_json=as_json)


def _limits(target: Target) -> dict[str, int]:
    return {name: queue.limit for name, queue in target.configured(imports=False).keys.queues.items()}


async def _check_known(names: Sequence[str], limits: Iterable[str], store: JobStore) -> None:
    """Refuse a queue that neither the config nor the store knows: no process would ever apply its settings."""
    known = {
        *limits,
        *(one.queue for one in await store.counts()),
        *(one.queue for one in await store.queue_settings()),
    }
    for name in names:
        if name not in known:
            raise UsageError("NAME", f"there is no queue {name!r}: there are {', '.join(sorted(known)) or 'none'}")


def _values(
    name: str, limit: int | None, settings: QueueSettings | None, counts: Iterable[JobCount]
) -> dict[str, object]:
    own = Counter({one.state: one.count for one in counts if one.queue == name})
    return {
        "queue": name,
        "limit": settings.limit if settings is not None and settings.limit is not None else limit,
        "is_paused": settings is not None and settings.is_paused,
        "jobs": dict(own),
    }


def _count(values: dict[str, object], state: str) -> str:
    jobs = values["jobs"]
    return f"{jobs.get(state, 0):,}" if isinstance(jobs, dict) else ""


def _print_changed(sentence: str, names: Sequence[str], *, as_json: bool) -> ExitCode:
    if as_json:
        print_json({"exit_code": 0, "queues": list(names)})
    else:
        print_tables(sentence)
    return ExitCode.FINE


QueueNameArgument = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store), then the queues.", metavar="[FILE] NAME..."),
]
Scaled = Annotated[
    list[str] | None,
    typer.Argument(
        help="The config file (not with --store), then the queue and its limit.", metavar="[FILE] NAME [LIMIT]"
    ),
]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List, pause, resume and scale queues.")


@app.command("list")
def list_(arguments: TargetArguments = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List queues with their limits and jobs: headrace queues list FILE."""
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(
        run_command(
            lambda: list_queues(Target.of(arguments or [], store, are_more=False), as_json=as_json), as_json=as_json
        )
    )


@app.command()
def pause(arguments: QueueNameArgument = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Claim nothing more of queues, in all processes: headrace queues pause FILE NAME..."""
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(
        run_command(
            lambda: pause_queues(Target.of(arguments or [], store), is_paused=True, as_json=as_json), as_json=as_json
        )
    )


@app.command()
def resume(arguments: QueueNameArgument = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Claim again: headrace queues resume FILE NAME..."""
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(
        run_command(
            lambda: pause_queues(Target.of(arguments or [], store), is_paused=False, as_json=as_json), as_json=as_json
        )
    )


@app.command()
def scale(arguments: Scaled = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Run so many at a time in each process: headrace queues scale FILE NAME LIMIT; without one, as the config says."""
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(
        run_command(lambda: scale_queue(Target.of(arguments or [], store), as_json=as_json), as_json=as_json)
    )
