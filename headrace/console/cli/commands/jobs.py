"""Jobs as tables for people, and as plain values."""

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from headrace.console.cli.job_selection import Selection, is_confirmed, named_values, numbers_of
from headrace.console.cli.job_target import EXAMPLE, Target, UsageError
from headrace.console.cli.options import JsonOption, StoreOption, YesOption
from headrace.console.cli.output import print_json, print_tables
from headrace.console.cli.streams import ExitCode
from headrace.jobs.errors import NoJob
from headrace.jobs.flows.advance import AdvancerStore
from headrace.jobs.flows.workflow import retry_flow
from headrace.jobs.job import STATES, Job, JobState, NewJob, after
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import NAME, is_name
from headrace.units import UnitError, parse_duration

_ARGS_LENGTH = 60  # characters of args in a line of a list
_ERROR_LENGTH = 60  # characters of the last error in a line of a list


def table_of(headings: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> Table:
    """Return a table of texts; columns in `right` are set to the right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    return table


def job_table(jobs: Sequence[Job]) -> Table:
    """Return a line for each job."""
    rows = [
        (
            job.id,
            job.state,
            job.queue,
            job.worker,
            _short(json.dumps(job.args, ensure_ascii=False), _ARGS_LENGTH),
            f"{job.attempt}/{job.max_attempts}",
            _when(job),
            _short(last_error(job), _ERROR_LENGTH),
        )
        for job in jobs
    ]
    headings = ("job", "state", "queue", "worker", "args", "attempt", "since or at", "last error")
    return table_of(headings, rows, ("job", "attempt"))


def last_error(job: Job) -> str:
    """Return the line of a job's last error that names what was raised: the first, or the first below the traceback."""
    lines = job.errors[-1].error.splitlines() if job.errors else []
    if lines and lines[0].startswith("Traceback "):
        frames = [index for index, line in enumerate(lines) if line.startswith("  ")]
        lines = lines[frames[-1] + 1 :] if frames else lines
    return lines[0] if lines else ""


def job_lines(job: Job) -> Table:
    """Return all there is about one job."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in job_values(job).items():
        if name != "errors" and value not in (None, [], {}):
            table.add_row(Text(name), Text(_text(value)))
    for error in job.errors:
        table.add_row(Text(f"error of attempt {error.attempt}"), Text(f"{_iso(error.at)} {error.error}"))
    return table


def job_values(job: Job) -> dict[str, object]:
    """Return a job as plain values, times as ISO 8601."""
    return {
        "id": job.id,
        "state": job.state,
        "queue": job.queue,
        "worker": job.worker,
        "args": job.args,
        "meta": job.meta,
        "tags": job.tags,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "priority": job.priority,
        "inserted_at": _iso(job.inserted_at),
        "scheduled_at": _iso(job.scheduled_at),
        "attempted_at": _iso(job.attempted_at),
        "completed_at": _iso(job.completed_at),
        "cancelled_at": _iso(job.cancelled_at),
        "discarded_at": _iso(job.discarded_at),
        "attempted_by": job.attempted_by,
        "errors": [{"attempt": one.attempt, "at": _iso(one.at), "error": one.error} for one in job.errors],
    }


def _when(job: Job) -> str:
    ended = job.completed_at or job.cancelled_at or job.discarded_at
    at = ended or (job.attempted_at if job.state == "executing" else job.scheduled_at)
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


JobChange = Callable[[AdvancerStore, JobFilter], Awaitable[list[int]]]


@dataclass(frozen=True, slots=True)
class Verb:
    """A change of many jobs: how it is said, and how it is done."""

    name: str
    past: str
    change: JobChange
    left_out: frozenset[JobState] = frozenset()
    """States that a filter means only where `--state` names them."""


VERBS = {
    "retry": Verb("retry", "retried", retry_flow, frozenset({"completed"})),
    "cancel": Verb("cancel", "cancelled", lambda store, which: store.cancel(which)),
    "delete": Verb("delete", "deleted", lambda store, which: store.delete(which)),
    "run-now": Verb("run now", "made available", lambda store, which: store.run_now(which)),
}


@dataclass(frozen=True, slots=True)
class EnqueueOptions:
    """The options of `jobs enqueue`, beside the worker and its arguments."""

    queue: str | None = None
    delay: str | None = None
    priority: int | None = None
    tags: tuple[str, ...] = ()


async def list_jobs(
    target: Target, selection: Selection, limit: int, before_id: int | None, *, as_json: bool
) -> ExitCode:
    """Print the newest jobs first."""
    selection, others = selection.with_arguments(target.arguments)
    if others:
        raise UsageError("FILE", f"unexpected argument {others[0]!r}: {EXAMPLE}")
    which = selection.filter(before_id=before_id)
    async with target.opened("finds", must_have_jobs=True) as jobs:
        found = await jobs.store.find(which, limit)
        total = await jobs.store.count(which)
    if as_json:
        print_json({"exit_code": 0, "total": total, "jobs": [job_values(job) for job in found]})
    else:
        print_tables(job_table(found), f"{len(found):,} of {_jobs(total)}")
        if len(found) < total and found:
            print_tables(f"the next ones: --before {found[-1].id}")
    return ExitCode.FINE


async def show_jobs(target: Target, *, as_json: bool) -> ExitCode:
    """Print all there is about some jobs; raises `NoJob`."""
    numbers = numbers_of(target.arguments)
    if not numbers:
        raise UsageError("NUMBER", "name the jobs to show by their numbers, as in headrace jobs show shop.yaml 17")
    async with target.opened("finds", must_have_jobs=True) as jobs:
        found = [(number, await jobs.store.get(number)) for number in numbers]
    there = [job for _, job in found if job is not None]
    missing = [number for number, job in found if job is None]
    if missing:
        raise NoJob(missing[0])
    if as_json:
        print_json({"exit_code": 0, "jobs": [job_values(job) for job in there]})
    else:
        print_tables(*(job_lines(job) for job in there))
    return ExitCode.FINE


async def change_jobs(target: Target, verb: Verb, selection: Selection, *, is_yes: bool, as_json: bool) -> ExitCode:
    """Change jobs by their numbers at once; those of a filter once it is said how many they are, and agreed to."""
    selection, others = selection.with_arguments(target.arguments)
    numbers = numbers_of(others)
    if not numbers and selection.is_empty:
        raise UsageError(
            "NUMBER",
            f"say which jobs to {verb.name}: by their numbers, or by --state, --queue, --worker, --tag or args.x=7",
        )
    which = selection.filter(numbers)
    if verb.left_out and not numbers and which.states is None:
        which = replace(which, states=frozenset(STATES) - verb.left_out)
    async with target.opened("finds", "changes", must_have_jobs=True) as jobs:
        if not numbers:
            count = await jobs.store.count(which)
            if count and not is_confirmed(
                f"{_jobs(count)} {'matches' if count == 1 else 'match'}", verb.name, is_yes=is_yes
            ):
                return ExitCode.FAILED
        changed = await verb.change(jobs.store, which)
    missed = sorted(set(numbers) - set(changed))
    if as_json:
        print_json({"exit_code": int(bool(missed)), "changed": changed, "unchanged": missed})
    else:
        print_tables(f"{_jobs(len(changed))} {verb.past}")
        if missed:
            print_tables(f"left as they are, or not there: {', '.join(map(str, missed))}")
    return ExitCode.FAILED if missed else ExitCode.FINE


async def enqueue_job(target: Target, options: EnqueueOptions, *, as_json: bool) -> ExitCode:
    """Enqueue one job; where the config lists its worker's module, its arguments are checked."""
    if not target.arguments:
        raise UsageError(
            "WORKER", "name the worker and its arguments, as in headrace jobs enqueue shop.yaml shop.lookup sku=abc"
        )
    worker, *pairs = target.arguments
    args = named_values("NAME=VALUE", pairs)
    async with target.opened("inserts", "finds", imports=True) as jobs:
        job = _new(jobs, worker, args, options)
        warning = await _doubt(jobs, job)
        (inserted,) = await jobs.insert([job])
    if warning is not None:
        print(f"headrace: {warning}", file=sys.stderr)
    number = None if inserted is None else inserted.id
    is_conflict = inserted is not None and inserted.is_conflict
    if as_json:
        doubt = {} if warning is None else {"warning": warning}
        print_json({"exit_code": 0, "id": number, "is_conflict": is_conflict, **doubt})
    elif number is None:
        print_tables("a middleware dropped the job")
    else:
        print_tables(f"job {number} is there already, and the same" if is_conflict else f"job {number} is enqueued")
    return ExitCode.FINE


async def _doubt(jobs: Jobs, job: NewJob) -> str | None:
    """Return what is to be said of a worker that neither the modules nor the jobs of the store know."""
    is_known = jobs.catalogue.get(job.worker) is not None
    if is_known or await jobs.store.has(JobFilter(workers=frozenset({job.worker}))):
        return None
    return (
        f"no job in the store has the worker {job.worker!r} yet, and nobody checked its name and arguments: it waits "
        "until some process has that worker; name the config with its module in place of the store to have them checked"
    )


def _jobs(count: int) -> str:
    return f"{count:,} job" if count == 1 else f"{count:,} jobs"


def _new(jobs: Jobs, worker: str, args: dict[str, object], options: EnqueueOptions) -> NewJob:
    known = jobs.catalogue.get(worker)
    if known is None and tuple(jobs.catalogue.names):
        raise UsageError("WORKER", f"there is no worker {worker!r}: the modules have {', '.join(jobs.catalogue.names)}")
    job = NewJob(worker, args) if known is None else known.new(**args)
    if options.queue is not None:
        if not is_name(options.queue):
            raise UsageError("--queue", f"{options.queue!r:.100} is no name of a queue: write {NAME}")
        job = replace(job, queue=options.queue)
    if options.priority is not None:
        job = replace(job, priority=options.priority)
    if options.tags:
        job = replace(job, tags=options.tags)
    if options.delay is not None:
        try:
            seconds = parse_duration(options.delay)
        except UnitError as error:
            usage_error = UsageError("--in", str(error))
        else:
            return replace(job, scheduled_at=after(jobs.now(), seconds))
        raise usage_error
    return job


ShownJobs = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store), then numbers of jobs.", metavar="[FILE] NUMBER..."),
]
New = Annotated[
    list[str] | None,
    typer.Argument(
        help="The config file (not with --store), then the worker and its arguments.",
        metavar="[FILE] WORKER [NAME=VALUE]...",
    ),
]
Asked = Annotated[
    list[str] | None,
    typer.Argument(
        help="The config file (not with --store), then arguments that the jobs have: args.region=eu.",
        metavar="[FILE] [args.NAME=VALUE]...",
    ),
]
JobsChanged = Annotated[
    list[str] | None,
    typer.Argument(
        help="The config file (not with --store), then numbers of jobs, or arguments that they have: args.region=eu.",
        metavar="[FILE] [NUMBER | args.NAME=VALUE]...",
    ),
]
States = Annotated[
    list[str] | None, typer.Option("--state", help="Only jobs in this state; may be given again.", metavar="STATE")
]
Queues = Annotated[list[str] | None, typer.Option("--queue", help="Only jobs of this queue.", metavar="QUEUE")]
Workers = Annotated[list[str] | None, typer.Option("--worker", help="Only jobs of this worker.", metavar="WORKER")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Only jobs with this tag.", metavar="TAG")]
Args = Annotated[
    list[str] | None,
    typer.Option("--args", help="The same as args.customer.id=7: customer.id=7.", metavar="NAME=VALUE"),
]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List, show, enqueue and change jobs.")


@app.command("list")
def list_(  # noqa: PLR0913 - to typer each option is a parameter
    arguments: Asked = None,
    *,
    store: StoreOption = None,
    state: States = None,
    queue: Queues = None,
    worker: Workers = None,
    tag: Tags = None,
    args: Args = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.", metavar="COUNT")] = 50,
    before: Annotated[
        int | None, typer.Option(help="Only jobs before this number: the next page.", metavar="NUMBER")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs, the newest first: headrace jobs list FILE."""
    from headrace.console.cli.job_selection import Selection
    from headrace.console.cli.job_target import Target, run_command

    selection = Selection(state or (), queue or (), worker or (), tag or (), args or ())
    raise typer.Exit(
        run_command(
            lambda: list_jobs(Target.of(arguments or [], store), selection, limit, before, as_json=as_json),
            as_json=as_json,
        )
    )


@app.command()
def show(arguments: ShownJobs = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show all there is about jobs: headrace jobs show FILE NUMBER..."""
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(
        run_command(lambda: show_jobs(Target.of(arguments or [], store), as_json=as_json), as_json=as_json)
    )


@app.command()
def enqueue(  # noqa: PLR0913 - to typer each option is a parameter
    arguments: New = None,
    *,
    store: StoreOption = None,
    queue: Annotated[str | None, typer.Option(help="The queue; the worker's without.", metavar="QUEUE")] = None,
    delay: Annotated[str | None, typer.Option("--in", help="How long it waits, as in 10m.", metavar="TIME")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="0 is the most urgent.", metavar="0-9")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag; may be given again.", metavar="TAG")] = None,
    as_json: JsonOption = False,
) -> None:
    """Enqueue a job: headrace jobs enqueue FILE WORKER sku=abc number=7.

    With a FILE the worker and its arguments are checked first.
    """
    from headrace.console.cli.job_target import Target, run_command

    new = EnqueueOptions(queue, delay, priority, tuple(tag or ()))
    raise typer.Exit(
        run_command(lambda: enqueue_job(Target.of(arguments or [], store), new, as_json=as_json), as_json=as_json)
    )


def _change(name: str, text: str) -> None:
    """Add a command that changes jobs: by their numbers, or all that a filter fits."""

    def command(  # noqa: PLR0913 - to typer each option is a parameter
        arguments: JobsChanged = None,
        *,
        store: StoreOption = None,
        state: States = None,
        queue: Queues = None,
        worker: Workers = None,
        tag: Tags = None,
        args: Args = None,
        yes: YesOption = False,
        as_json: JsonOption = False,
    ) -> None:
        from headrace.console.cli.job_selection import Selection
        from headrace.console.cli.job_target import Target, run_command

        selection = Selection(state or (), queue or (), worker or (), tag or (), args or ())
        raise typer.Exit(
            run_command(
                lambda: change_jobs(
                    Target.of(arguments or [], store), VERBS[name], selection, is_yes=yes, as_json=as_json
                ),
                as_json=as_json,
            )
        )

    app.command(name, help=f"{text}: headrace jobs {name} FILE NUMBER..., or by a filter.")(command)


_change("retry", "Run jobs again that failed, were cancelled or wait; completed ones with --state completed")
_change("cancel", "Call off jobs that have not ended, running ones too")
_change("delete", "Delete jobs that do not run")
_change("run-now", "Make jobs available that wait for their time")
