"""What the commands about jobs do."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from headrace.console.cli.commands.job_view import job_lines, job_table, job_values
from headrace.console.cli.job_selection import Selection, is_confirmed, named_values, numbers_of
from headrace.console.cli.job_target import EXAMPLE, Target, UsageError
from headrace.console.cli.output import ExitCode, print_json, print_tables
from headrace.jobs.errors import NoJob
from headrace.jobs.flows.workflow import rerun
from headrace.jobs.job import STATES, NewJob, State, after
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import NAME, is_name
from headrace.jobs.stores.store import JobStore
from headrace.units import UnitError, parse_duration

Change = Callable[[JobStore, JobFilter], Awaitable[list[int]]]


@dataclass(frozen=True, slots=True)
class Verb:
    """A change of many jobs: how it is said, and how it is done."""

    word: str
    past: str
    change: Change
    left_out: frozenset[State] = frozenset()
    """States that a filter means only where `--state` names them."""


VERBS = {
    "retry": Verb("retry", "retried", rerun, frozenset({"completed"})),
    "cancel": Verb("cancel", "cancelled", lambda store, which: store.cancel(which)),
    "delete": Verb("delete", "deleted", lambda store, which: store.delete(which)),
    "run-now": Verb("run now", "made available", lambda store, which: store.run_now(which)),
}


@dataclass(frozen=True, slots=True)
class NewWords:
    """What a command was told of a job that is to be enqueued, beside its worker and arguments."""

    queue: str | None = None
    delay: str | None = None
    priority: int | None = None
    tags: tuple[str, ...] = ()


async def list_jobs(
    target: Target, selection: Selection, limit: int, before_id: int | None, *, as_json: bool
) -> ExitCode:
    """Print the newest jobs first."""
    selection, others = selection.with_words(target.words)
    if others:
        raise UsageError("FILE", f"unexpected argument {others[0]!r}: {EXAMPLE}")
    which = selection.filter(before_id=before_id)
    async with target.opened(must_have_jobs=True) as jobs:
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
    numbers = numbers_of(target.words)
    if not numbers:
        raise UsageError("NUMBER", "name the jobs to show by their numbers, as in headrace jobs show shop.yaml 17")
    async with target.opened(must_have_jobs=True) as jobs:
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
    selection, others = selection.with_words(target.words)
    numbers = numbers_of(others)
    if not numbers and selection.is_empty:
        raise UsageError(
            "NUMBER",
            f"say which jobs to {verb.word}: by their numbers, or by --state, --queue, --worker, --tag or args.x=7",
        )
    which = selection.filter(numbers)
    if verb.left_out and not numbers and which.states is None:
        which = replace(which, states=frozenset(STATES) - verb.left_out)
    async with target.opened(must_have_jobs=True) as jobs:
        if not numbers:
            count = await jobs.store.count(which)
            if count and not is_confirmed(
                f"{_jobs(count)} {'matches' if count == 1 else 'match'}", verb.word, is_yes=is_yes
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


async def enqueue_job(target: Target, words: NewWords, *, as_json: bool) -> ExitCode:
    """Enqueue one job; where the config lists its worker's module, its arguments are checked."""
    if not target.words:
        raise UsageError(
            "WORKER", "name the worker and its arguments, as in headrace jobs enqueue shop.yaml shop.lookup sku=abc"
        )
    worker, *arguments = target.words
    args = named_values("NAME=VALUE", arguments)
    async with target.opened(imports=True) as jobs:
        job = _new(jobs, worker, args, words)
        warning = await _doubt(jobs, job)
        (inserted,) = await jobs.insert([job])
    if warning is not None:
        print(f"headrace: {warning}", file=sys.stderr)
    number = None if inserted is None else inserted.id
    is_double = inserted is not None and inserted.is_conflict
    if as_json:
        doubt = {} if warning is None else {"warning": warning}
        print_json({"exit_code": 0, "id": number, "is_conflict": is_double, **doubt})
    elif number is None:
        print_tables("a middleware dropped the job")
    else:
        print_tables(f"job {number} is there already, and the same" if is_double else f"job {number} is enqueued")
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


def _new(jobs: Jobs, worker: str, args: dict[str, object], words: NewWords) -> NewJob:
    known = jobs.catalogue.get(worker)
    if known is None and tuple(jobs.catalogue.names):
        raise UsageError("WORKER", f"there is no worker {worker!r}: the modules have {', '.join(jobs.catalogue.names)}")
    job = NewJob(worker, args) if known is None else known.new(**args)
    if words.queue is not None:
        if not is_name(words.queue):
            raise UsageError("--queue", f"{words.queue!r:.100} is no name of a queue: write {NAME}")
        job = replace(job, queue=words.queue)
    if words.priority is not None:
        job = replace(job, priority=words.priority)
    if words.tags:
        job = replace(job, tags=words.tags)
    if words.delay is not None:
        try:
            seconds = parse_duration(words.delay)
        except UnitError as error:
            refusal = UsageError("--in", str(error))
        else:
            return replace(job, scheduled_at=after(jobs.now(), seconds))
        raise refusal
    return job
