"""The commands `headrace queues ...`: list, pause, resume and scale queues."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import typer

from headrace.console.cli.output import UsageError
from headrace.console.cli.streams import JsonOption
from headrace.console.cli.tables import Result, run_command, table_of
from headrace.console.cli.target import JOBS, StoreOption, Target, TargetArguments
from headrace.jobs.rules.limits import LARGEST_LIMIT, is_limit
from headrace.jobs.stores.store import JobCount, JobStore, QueueSettings

_SHOWN: Final = ("available", "executing", "scheduled", "retryable", "discarded")

_DIGITS: Final = 20  # longer numbers are above any limit, and Python refuses to read thousands of digits


async def list_queues(target: Target) -> Result:
    """Return the limits of queues, whether they are paused, and the counts of their jobs."""
    limits = _limits(target)
    async with target.store("queue_controls", "finds", must_have_jobs=True) as jobs:
        settings = {one.queue: one for one in await jobs.store.queue_settings()}
        counts = await jobs.store.counts()
    names = sorted({*limits, *settings, *(one.queue for one in counts)})
    queues = [_values(name, limits.get(name), settings.get(name), counts) for name in names]
    rows = [
        (one["queue"], one["limit"], "paused" if one["is_paused"] else "", *(_count(one, state) for state in _SHOWN))
        for one in queues
    ]
    table = table_of(("queue", "limit", "", *_SHOWN), rows, ("limit", *_SHOWN))
    return Result({"queues": queues}, [table])


async def pause_queues(target: Target, *, is_paused: bool) -> Result:
    """Pause or resume queues; OS processes that run them apply it within seconds."""
    names = target.arguments
    if not names:
        raise UsageError("NAME", "name the queues, as in headrace queues pause shop.yaml default")
    limits = _limits(target)
    async with target.store("queue_controls", "finds") as jobs:
        await _check_known(names, limits, jobs.store)
        for name in names:
            await jobs.store.change_queue(name, is_paused=is_paused)
    sentence = f"{'paused' if is_paused else 'resumed'}: {', '.join(names)}"
    return Result({"queues": list(names)}, [sentence])


async def scale_queue(target: Target) -> Result:
    """Set how many jobs of a queue each OS process runs at a time; without a limit, as its config says."""
    if len(target.arguments) not in (1, 2):
        raise UsageError("NAME", "name one queue and its limit, as in headrace queues scale shop.yaml default 20")
    name, *rest = target.arguments
    limits = _limits(target)
    async with target.store("queue_controls", "finds") as jobs:
        await _check_known([name], limits, jobs.store)
        if rest:
            limit = _limit(rest[0])
            await jobs.store.change_queue(name, limit=limit)
        else:
            await jobs.store.forget_queue(name)
    sentence = f"{name}: {limit} at a time" if rest else f"{name}: the limit of the config applies again"
    return Result({"queues": [name]}, [sentence])


def _limit(text: str) -> int:
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0
    if not is_limit(limit):
        raise UsageError("LIMIT", f"{text!r:.100} is no limit: write a whole number from 1 to {LARGEST_LIMIT:,}")
    return limit


def _limits(target: Target) -> dict[str, int]:
    return {name: queue.limit for name, queue in target.configured_jobs(imports=False).keys.queues.items()}


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
    run_command(lambda: list_queues(Target.of(JOBS, arguments, store, are_more=False)), as_json=as_json)


@app.command()
def pause(arguments: QueueNameArgument = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Stop claiming jobs of queues, in all OS processes: headrace queues pause FILE NAME..."""
    run_command(lambda: pause_queues(Target.of(JOBS, arguments, store), is_paused=True), as_json=as_json)


@app.command()
def resume(arguments: QueueNameArgument = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Claim jobs of queues again: headrace queues resume FILE NAME..."""
    run_command(lambda: pause_queues(Target.of(JOBS, arguments, store), is_paused=False), as_json=as_json)


@app.command()
def scale(arguments: Scaled = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Set how many jobs each OS process runs at a time: headrace queues scale FILE NAME LIMIT.

    Without LIMIT the limit of the config applies again.
    """
    run_command(lambda: scale_queue(Target.of(JOBS, arguments, store)), as_json=as_json)
