"""The commands `headrace jobs ...`: list, show, enqueue and change jobs."""

import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

import typer
from rich.console import RenderableType
from rich.table import Table

from headrace.console.cli.output import UsageError, counted, iso
from headrace.console.cli.streams import ExitCode, JsonOption
from headrace.console.cli.tables import Result, lines_of, run_command, short, table_of, time_text
from headrace.console.cli.target import JOBS, StoreOption, Target, YesOption, confirm, numbers_of
from headrace.jobs.errors import NoJob
from headrace.jobs.flows.advance import AdvancerStore
from headrace.jobs.flows.workflow import retry_flow
from headrace.jobs.job import STATES, Inserted, Job, JobState, NewJob, after
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter, Scalar
from headrace.jobs.rules.limits import NAME, is_name
from headrace.units import UnitError, parse_duration

_ARGUMENT: Final = "args."
"""The prefix of a command-line argument that selects jobs by their args, as in args.region=eu."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The options that select jobs; an empty one selects none by itself."""

    states: Sequence[str] = ()
    queues: Sequence[str] = ()
    workers: Sequence[str] = ()
    tags: Sequence[str] = ()
    args: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether no option is given."""
        return not (self.states or self.queues or self.workers or self.tags or self.args)

    def with_arguments(self, arguments: Sequence[str]) -> tuple["Selection", tuple[str, ...]]:
        """Return the selection with arguments such as args.region=eu, and the other arguments. Raises `UsageError`."""
        asked = [argument for argument in arguments if argument.startswith(_ARGUMENT)]
        for argument in asked:
            name, sign, _ = argument.removeprefix(_ARGUMENT).partition("=")
            if not (name and sign):
                raise UsageError("args.", f"{argument!r} is no argument: write args.region=eu, a name and its value")
        args = (*self.args, *(argument.removeprefix(_ARGUMENT) for argument in asked))
        return replace(self, args=args), tuple(argument for argument in arguments if argument not in asked)

    def filter(self, ids: Iterable[int] = (), before_id: int | None = None) -> JobFilter:
        """Return the selection as a filter. Raises `UsageError`."""
        numbers = frozenset(ids)
        return JobFilter(
            ids=numbers or None,
            states=frozenset(map(_state, self.states)) or None,
            queues=frozenset(self.queues) or None,
            workers=frozenset(self.workers) or None,
            tags=frozenset(tag.strip().lower() for tag in self.tags) or None,
            args={path: _scalar(path, value) for path, value in named_values("--args", self.args).items()},
            before_id=before_id,
        )


def named_values(where: str, arguments: Sequence[str]) -> dict[str, object]:
    """Return the values of `name=value` arguments: JSON where it parses, and text otherwise. Raises `UsageError`."""
    found: dict[str, object] = {}
    for argument in arguments:
        name, sign, text = argument.partition("=")
        if not (name and sign):
            raise UsageError(where, f"{argument!r} is no argument: write name=value, as in sku=abc or number=7")
        if name in found:
            raise UsageError(where, f"the argument {name} is there twice: give it one value")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _state(argument: str) -> JobState:
    for state in STATES:
        if state == argument:
            return state
    raise UsageError("--state", f"{argument!r} is no state of a job: write one of {', '.join(STATES)}")


def _scalar(path: str, value: object) -> Scalar:
    if isinstance(value, Mapping | list):
        raise UsageError("--args", f"the value of {path} must be text, a number, true, false or null")
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def job_table(jobs: Sequence[Job]) -> Table:
    """Return a table with a line for each job."""
    rows = [
        (
            job.id,
            job.state,
            job.queue,
            job.worker,
            short(json.dumps(job.args, ensure_ascii=False)),
            f"{job.attempt}/{job.max_attempts}",
            _when(job),
            short(last_error(job)),
        )
        for job in jobs
    ]
    headings = ("job", "state", "queue", "worker", "args", "attempt", "since or at", "last error")
    return table_of(headings, rows, ("job", "attempt"))


def last_error(job: Job) -> str:
    """Return the line of a job's last error that names the error: the first, or the first after the traceback."""
    lines = job.errors[-1].error.splitlines() if job.errors else []
    if lines and lines[0].startswith("Traceback "):
        frames = [index for index, line in enumerate(lines) if line.startswith("  ")]
        lines = lines[frames[-1] + 1 :] if frames else lines
    return lines[0] if lines else ""


def job_lines(job: Job) -> Table:
    """Return everything about one job."""
    values = job_values(job).items()
    lines = [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in values
        if name != "errors" and value not in (None, [], {})
    ]
    return lines_of(
        [*lines, *((f"error of attempt {one.attempt}", f"{iso(one.at)} {one.error}") for one in job.errors)]
    )


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
        "inserted_at": iso(job.inserted_at),
        "scheduled_at": iso(job.scheduled_at),
        "attempted_at": iso(job.attempted_at),
        "completed_at": iso(job.completed_at),
        "cancelled_at": iso(job.cancelled_at),
        "discarded_at": iso(job.discarded_at),
        "attempted_by": job.attempted_by,
        "errors": [{"attempt": one.attempt, "at": iso(one.at), "error": one.error} for one in job.errors],
    }


def _when(job: Job) -> str:
    ended = job.completed_at or job.cancelled_at or job.discarded_at
    return time_text(ended or (job.attempted_at if job.state == "executing" else job.scheduled_at))


JobChange = Callable[[AdvancerStore, JobFilter], Awaitable[list[int]]]


@dataclass(frozen=True, slots=True)
class Verb:
    """A change of jobs: its name in sentences, and its function."""

    name: str
    past: str
    change: JobChange
    left_out: frozenset[JobState] = frozenset()
    """States that a filter selects only where `--state` names them."""


VERBS = {
    "retry": Verb("retry", "retried", retry_flow, frozenset({"completed"})),
    "cancel": Verb("cancel", "cancelled", lambda store, which: store.cancel(which)),
    "delete": Verb("delete", "deleted", lambda store, which: store.delete(which)),
    "run-now": Verb("run now", "made available", lambda store, which: store.run_now(which)),
}


@dataclass(frozen=True, slots=True)
class EnqueueOptions:
    """The options of `jobs enqueue`, besides the worker and its arguments."""

    queue: str | None = None
    delay: str | None = None
    priority: int | None = None
    tags: tuple[str, ...] = ()


async def list_jobs(target: Target, selection: Selection, limit: int, before_id: int | None) -> Result:
    """Return the newest jobs first."""
    selection, others = selection.with_arguments(target.arguments)
    if others:
        raise UsageError("FILE", f"unexpected argument {others[0]!r}: {JOBS.example}")
    which = selection.filter(before_id=before_id)
    async with target.store("finds", must_have_jobs=True) as jobs:
        found = await jobs.store.find(which, limit)
        total = await jobs.store.count(which)
    parts: list[RenderableType] = [job_table(found), f"{len(found):,} of {counted(total, 'job')}"]
    if 0 < len(found) < total:
        parts.append(f"the next ones: --before {found[-1].id}")
    return Result({"total": total, "jobs": list(map(job_values, found))}, parts)


async def show_jobs(target: Target) -> Result:
    """Return everything about some jobs. Raises `NoJob`."""
    numbers = numbers_of(target.arguments, "a job")
    if not numbers:
        raise UsageError("NUMBER", "name the jobs to show by their numbers, as in headrace jobs show shop.yaml 17")
    found: list[Job] = []
    async with target.store("finds", must_have_jobs=True) as jobs:
        for number in numbers:
            job = await jobs.store.get(number)
            if job is None:
                raise NoJob(number)
            found.append(job)
    return Result({"jobs": list(map(job_values, found))}, map(job_lines, found))


async def change_jobs(target: Target, verb: Verb, selection: Selection, *, is_yes: bool) -> Result:
    """Change jobs: by number at once, by a filter after their count is confirmed."""
    selection, others = selection.with_arguments(target.arguments)
    numbers = numbers_of(others, "a job")
    if not numbers and selection.is_empty:
        why = "by their numbers, or by --state, --queue, --worker, --tag or args.x=7"
        raise UsageError("NUMBER", f"say which jobs to {verb.name}: {why}")
    which = selection.filter(numbers)
    if verb.left_out and not numbers and which.states is None:
        which = replace(which, states=frozenset(STATES) - verb.left_out)
    async with target.store("finds", "changes", must_have_jobs=True) as jobs:
        if not numbers:
            confirm(await jobs.store.count(which), "job", verb.name, is_yes=is_yes)
        changed = await verb.change(jobs.store, which)
    missed = sorted(set(numbers) - set(changed))
    parts = [f"{counted(len(changed), 'job')} {verb.past}"]
    if missed:
        parts.append(f"left as they are, or not there: {', '.join(map(str, missed))}")
    code = ExitCode.FAILED if missed else ExitCode.FINE
    return Result({"changed": changed, "unchanged": missed}, parts, code)


async def enqueue_job(target: Target, options: EnqueueOptions) -> Result:
    """Enqueue one job; where the config lists its worker's module, its arguments are checked."""
    if not target.arguments:
        raise UsageError(
            "WORKER", "name the worker and its arguments, as in headrace jobs enqueue shop.yaml shop.lookup sku=abc"
        )
    worker, *pairs = target.arguments
    args = named_values("NAME=VALUE", pairs)
    async with target.store("inserts", "finds", imports=True) as jobs:
        job = _new(jobs, worker, args, options)
        warning = await _warning(jobs, job)
        (inserted,) = await jobs.insert([job])
    if warning is not None:
        print(f"headrace: {warning}", file=sys.stderr)
    values = {} if warning is None else {"warning": warning}
    if inserted is None:
        dropped = {"id": None, "is_conflict": False, **values}
        return Result(dropped, ["a middleware dropped the job"])
    return inserted_result(inserted, **values)


def inserted_result(inserted: Inserted, **values: object) -> Result:
    """Return the number of an enqueued job, or of the job that it duplicates."""
    conflict = f"job {inserted.id} exists already, and is the same"
    sentence = conflict if inserted.is_conflict else f"job {inserted.id} is enqueued"
    document = {"id": inserted.id, "is_conflict": inserted.is_conflict, **values}
    return Result(document, [sentence])


async def _warning(jobs: Jobs, job: NewJob) -> str | None:
    """Return a warning about a worker that neither the modules nor the jobs of the store know."""
    is_known = jobs.catalogue.get(job.worker) is not None
    if is_known or await jobs.store.has(JobFilter(workers=frozenset({job.worker}))):
        return None
    return (
        f"no job in the store has the worker {job.worker!r} yet, so its name and arguments are not checked: it waits "
        "until some process has that worker; name the config with its module in place of the store to have them checked"
    )


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
    typer.Option("--args", help="Only jobs with this argument: customer.id=7.", metavar="NAME=VALUE"),
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
    limit: Annotated[int, typer.Option(min=1, help="The limit of the list.", metavar="COUNT")] = 50,
    before: Annotated[
        int | None, typer.Option(help="Only jobs before this number, for the next page.", metavar="NUMBER")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first: headrace jobs list FILE."""
    selection = Selection(state or (), queue or (), worker or (), tag or (), args or ())
    run_command(
        lambda: list_jobs(Target.of(JOBS, arguments, store), selection, limit, before),
        as_json=as_json,
    )


@app.command()
def show(arguments: ShownJobs = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show everything about jobs: headrace jobs show FILE NUMBER..."""
    run_command(lambda: show_jobs(Target.of(JOBS, arguments, store)), as_json=as_json)


@app.command()
def enqueue(  # noqa: PLR0913 - to typer each option is a parameter
    arguments: New = None,
    *,
    store: StoreOption = None,
    queue: Annotated[
        str | None, typer.Option(help="The queue; by default that of the worker.", metavar="QUEUE")
    ] = None,
    delay: Annotated[str | None, typer.Option("--in", help="The delay of the job, as in 10m.", metavar="TIME")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="0 is the most urgent.", metavar="0-9")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag; may be given again.", metavar="TAG")] = None,
    as_json: JsonOption = False,
) -> None:
    """Enqueue a job: headrace jobs enqueue FILE WORKER sku=abc number=7.

    With a FILE the worker and its arguments are checked first.
    """
    new = EnqueueOptions(queue, delay, priority, tuple(tag or ()))
    run_command(lambda: enqueue_job(Target.of(JOBS, arguments, store), new), as_json=as_json)


def _change(name: str, text: str) -> None:
    """Add a command that changes jobs: by number, or by a filter."""

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
        selection = Selection(state or (), queue or (), worker or (), tag or (), args or ())
        run_command(
            lambda: change_jobs(Target.of(JOBS, arguments, store), VERBS[name], selection, is_yes=yes),
            as_json=as_json,
        )

    app.command(name, help=f"{text}: headrace jobs {name} FILE NUMBER..., or by a filter.")(command)


_change("retry", "Run failed, cancelled or waiting jobs again; completed ones with --state completed")
_change("cancel", "Cancel jobs that have not ended, running ones too")
_change("delete", "Delete jobs that do not run")
_change("run-now", "Make scheduled jobs available now")
