"""The errors of jobs and of their testing help.

::

    HeadraceError
    └── JobsError                 a job, its worker, its queue or its store
        ├── BadWorker             a function or an option that makes no worker
        ├── WorkerNameTaken       two workers have one name
        ├── BadJobs               a Jobs was given a bad store or bad workers
        ├── BadModule             a module of workers cannot be imported
        ├── NotBound              no Jobs, or another one, keeps the jobs of a worker
        ├── BadArguments          a call does not fit the parameters of its worker
        ├── AlreadyOpen           a Jobs was opened a second time
        ├── OnEventLoop           a sync call in a thread that runs an event loop
        ├── LoopStopped           the event loop of a Jobs stopped while a thread waited for it
        ├── NoQueue               this process does not run the queue
        ├── BadQueue              a bad name or limit of a queue
        ├── QueueTaken            this process runs the queue that a caller wants to take
        ├── NotSqlite             a transaction of SQLite, but another kind of store
        ├── BadFilter             a filter that can match no job, or no filter at all
        ├── BadTime               a bad time or duration, or a time without a time zone
        ├── NoRunningJob          no job runs this code
        ├── NoJob                 the store has no job of that id
        ├── ResultTimeout         a job took longer than its caller waits; also a TimeoutError
        ├── JobDiscarded          the awaited job was discarded
        │   └── JobExpired        it was discarded because it did not begin in time
        ├── JobCancelled          the awaited job was cancelled
        ├── NotRecorded           the awaited job has no result
        ├── JobDropped            a middleware dropped the job, so it has no id and no result
        ├── BadProgress           a progress that is not from 0 to 1
        ├── BadCheckpoint         a cursor that is not JSON
        ├── BadCron               a cron expression that cannot be read, or is never due
        ├── BadCrontab            bad entries of a crontab, or no entry of that name
        ├── BadLimit              a bad limit of a queue
        ├── BadAnswer             a worker returned a value that cannot be kept, or a bad answer
        ├── JobTimeout            an attempt took longer than its worker allows
        ├── EncryptionError       args cannot be encrypted or decrypted
        ├── BadTransaction        a connection through which no job can be enqueued
        ├── NotJson               args or meta of a job are not JSON
        ├── BadUnique             bad options of a unique job
        ├── BadWorkflow           bad steps, or no step of that name
        ├── BadBatch              a job that cannot be in the batch
        ├── BadStore              a URL that names no store
        ├── NewerSchema           a newer headrace made the tables of the store
        └── OlderOban             Oban's table in the database is older than its migration 14

::

    JobsError
    └── JobsTestError     a bad test of jobs, or a job that failed in a test
        ├── BadJobsTest   a test asks for something impossible
        ├── JobFailed     an attempt failed, though its function raised no error
        └── JobNotRun     a test waits for a job that only the test can run
"""

from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from typing import ClassVar

from headrace.errors import HeadraceError


class JobsError(HeadraceError):
    """An error of a job, its worker, its queue or its store."""


class _Named(JobsError):
    """An error of the thing called `name`; the sentence of a subclass ends with `why`."""

    _sentence: ClassVar[str]

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why
        super().__init__(self._sentence.format(name=name, why=why))


class _BadValue(JobsError):
    """A value that is not allowed."""

    def __init__(self, found: object, what: str, allowed: str) -> None:
        self.found = found
        super().__init__(f"{what} is {found!r:.100}, and must be {allowed}")


class BadWorker(_Named):
    """A function cannot be a worker, or an option of it is bad."""

    _sentence = "{name} cannot be a worker: {why}"


class WorkerNameTaken(JobsError):
    """Two workers have one name, so a job of that name could belong to either."""

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name = name
        super().__init__(
            f"the workers {first} and {second} both have the name {name!r}: give one of them another name= or alias"
        )


class BadJobs(JobsError):
    """A `Jobs` was given a bad store or bad workers."""

    def __init__(self, found: object, what: str, allowed: str) -> None:
        super().__init__(f"a Jobs cannot have {found!r:.100} as its {what}: hand in {allowed}")


class BadModule(_Named):
    """A module of workers cannot be imported."""

    _sentence = "the module {name!r} of workers {why}"


class NotBound(JobsError):
    """No `Jobs`, or another one, keeps the jobs of a worker."""

    def __init__(self, worker: str, why: str, advice: str) -> None:
        self.worker = worker
        super().__init__(f"worker {worker!r} {why}: {advice}")


class BadArguments(JobsError):
    """A call does not fit the parameters of its worker; `parameter` is the first bad one."""

    def __init__(self, worker: str, parameter: str | None, why: str) -> None:
        self.worker = worker
        self.parameter = parameter
        self.why = why
        where = "" if parameter is None else f"the argument {parameter!r} of "
        super().__init__(f"{where}worker {worker!r} {why}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the advice for an unknown name: a similar known name, or all of them."""
    names = list(known)
    like = get_close_matches(name, names, 1)
    return f"did you mean {like[0]!r}?" if like else f"it has {', '.join(names) or 'none'}"


def torn_args(worker: str) -> BadArguments:
    """Return the error of a job whose row holds no JSON object as args."""
    return BadArguments(worker, None, "is not run: the args of the job are no JSON object; mend its row, then retry it")


class AlreadyOpen(JobsError):
    """An open `Jobs` was opened again."""

    def __init__(self) -> None:
        super().__init__(
            "these Jobs are open already, and go on: use them as they are, or make others with a new store"
        )


class OnEventLoop(JobsError):
    """A sync call was made in a thread that runs an event loop: the loop would wait for itself."""

    def __init__(self, call: str) -> None:
        super().__init__(
            f"{call!r} was called in its sync form on an event loop, which would stop for it: await {call}(...) there"
        )


class LoopStopped(JobsError):
    """The event loop of a `Jobs` stopped while another thread waited for a call on it."""

    def __init__(self, call: str) -> None:
        why = "the event loop that its Jobs was opened on has stopped, so nothing can answer"
        super().__init__(
            f"the sync form of {call!r} has no result: {why}; end the threads that use a Jobs before its loop"
        )


class NoQueue(JobsError):
    """This process does not run a queue of that name."""

    def __init__(self, queue: str, known: Iterable[str]) -> None:
        self.queue = queue
        names = ", ".join(sorted(known)) or "none"
        super().__init__(f"this process runs no queue {queue!r}: it runs {names}; add it to the queues of its Jobs")


class BadQueue(_BadValue):
    """A bad name or limit of a queue."""


class QueueTaken(JobsError):
    """A caller wants to take a queue that this process runs by its workers."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        super().__init__(f"this process runs the queue {queue!r} itself: take it out of the queues of its Jobs")


class NotSqlite(JobsError):
    """A job cannot be part of a transaction of SQLite: the jobs are in another kind of store."""

    def __init__(self, store: str) -> None:
        self.store = store
        super().__init__(
            f"the jobs are kept in a {store}, which is no part of a transaction of SQLite: "
            "use enqueue, or keep them in the same SQLite file"
        )


class BadFilter(JobsError):
    """A filter can match no job, or is no filter."""

    def __init__(self, found: object, what: str, advice: str) -> None:
        super().__init__(f"{what} {found!r:.100}: {advice}")


class BadTime(JobsError):
    """A bad time or duration, or a time without a time zone, which could be hours off."""

    def __init__(self, found: object, what: str, why: str) -> None:
        shown = str(found) if isinstance(found, datetime) else repr(found)
        super().__init__(f"{what} is {shown:.100}, {why}")


class NoRunningJob(JobsError):
    """Code asks for the running job outside a job."""

    def __init__(self) -> None:
        super().__init__("no job runs here: ask for the current job only inside a worker that a queue runs")


class NoJob(JobsError):
    """The store has no job of that id: it was deleted or pruned."""

    def __init__(self, job_id: int) -> None:
        self.job_id = job_id
        super().__init__(f"there is no job {job_id}: it was deleted, or ended so long ago that it was pruned")


class ResultTimeout(JobsError, TimeoutError):
    """A job has not ended within the time that its caller waits; the job continues."""

    def __init__(self, job_id: int, seconds: float, worker: str | None, state: str | None) -> None:
        """`worker` and `state` are None if the store has not returned the job in time."""
        self.job_id = job_id
        self.worker = worker
        self.state = state
        which = f"job {job_id}" if worker is None else f"job {job_id} of worker {worker!r}"
        stands = "has not been found by then" if state is None else f"is still {state}"
        super().__init__(
            f"{which} {stands} after {seconds:g} s: give its result more time, ask for it again later, "
            "or see that a process runs its queue"
        )


class JobDiscarded(JobsError):
    """The awaited job failed for good; `error` is its last error."""

    _became: ClassVar[str] = "was discarded"

    def __init__(self, job_id: int, worker: str, error: str) -> None:
        self.job_id = job_id
        self.error = error
        super().__init__(f"job {job_id} of worker {worker!r} {self._became}: {error or 'it gave no reason'}")


class JobExpired(JobDiscarded):
    """The awaited job expired before it began; `error` says when."""

    _became: ClassVar[str] = "was not run"

    def __init__(self, job_id: int, worker: str, error: str) -> None:
        advice = "give its worker longer expires_in_seconds, or its queue more slots"
        super().__init__(job_id, worker, f"{error or 'it expired'}: {advice}")
        self.error = error


class JobCancelled(JobsError):
    """The awaited job was cancelled; `error` is its reason, if any."""

    def __init__(self, job_id: int, worker: str, error: str) -> None:
        self.job_id = job_id
        self.error = error
        super().__init__(f"job {job_id} of worker {worker!r} was cancelled: {error or 'from outside'}")


class NotRecorded(JobsError):
    """The awaited job completed without a recorded result."""

    def __init__(self, job_id: int, worker: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"job {job_id} has ended, and its worker {worker!r} records no result: give the worker record=True"
        )


class JobDropped(JobsError):
    """A middleware dropped the job; it has no id and no result."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        super().__init__(
            f"a middleware dropped the job of worker {worker!r}: ask its handle whether it `is_dropped` first"
        )


class BadProgress(_BadValue):
    """A progress is not a fraction."""

    def __init__(self, found: object) -> None:
        super().__init__(found, "the progress of a job", "a number from 0 to 1")


class BadCheckpoint(_BadValue):
    """A cursor is not JSON, so no later attempt could get it."""

    def __init__(self, found: object) -> None:
        super().__init__(found, "a checkpoint", "a JSON value: text, a number, a list, an object")


class BadCron(_Named):
    """A cron expression cannot be read, or is never due."""

    _sentence = "the cron expression {name!r:.100} {why}"


class BadCrontab(_Named):
    """Entries of a crontab do not fit together, or there is no entry of that name."""

    _sentence = "the entry {name!r} of the crontab {why}"


class BadLimit(_BadValue):
    """A bad limit of a queue."""

    def __init__(self, what: str, found: object, allowed: str) -> None:
        super().__init__(found, f"the {what} of a queue", allowed)


class BadAnswer(_Named):
    """A worker returned a value that cannot be kept, or a bad answer."""

    _sentence = "{name} {why}"


class JobTimeout(JobsError):
    """An attempt took longer than its worker's `timeout_seconds`, and was ended."""

    def __init__(self, worker: str, seconds: float) -> None:
        self.worker = worker
        self.seconds = seconds
        super().__init__(
            f"the job took longer than the {seconds:g} s that worker {worker!r} allows: "
            "give it a longer timeout_seconds, or less to do at a time"
        )


class EncryptionError(JobsError):
    """Args cannot be encrypted or decrypted. The message has no key and no value."""

    def __init__(self, why: str, advice: str) -> None:
        super().__init__(f"{why}: {advice}")


class BadTransaction(_Named):
    """No job can be enqueued through the user's connection."""

    _sentence = "no job of worker {name!r} can be enqueued through that connection: {why}"


class NotJson(JobsError):
    """The args or the meta of a job hold a value that JSON cannot."""

    def __init__(self, worker: str, why: str) -> None:
        self.worker = worker
        super().__init__(
            f"the args or the meta of a job of worker {worker!r} cannot be kept as JSON ({why}): "
            "hand in text, finite numbers, true, false, null, and lists and objects of those"
        )


class BadUnique(_BadValue):
    """A bad option of a unique job."""

    def __init__(self, option: str, found: object, allowed: str) -> None:
        super().__init__(found, f"{option} of a unique job", allowed)


class BadWorkflow(_Named):
    """Steps of a workflow do not fit together, or there is no step of that name."""

    _sentence = "the workflow {name!r} {why}"


class BadBatch(_Named):
    """A job cannot be in a batch."""

    _sentence = "the batch {name!r} {why}: give it a job of its own"


class NewerSchema(JobsError):
    """A newer headrace made the tables of the store."""

    def __init__(self, store: str, found: int, known: int) -> None:
        self.store = store
        self.found = found
        self.known = known
        super().__init__(
            f"the tables of the jobs in {store} are of version {found}, and this headrace knows up to {known}: "
            "install the newer one here, too; nothing was changed"
        )


class OlderOban(JobsError):
    """Oban's table in the database is older than its migration 14, and headrace does not migrate it."""

    def __init__(self, store: str) -> None:
        self.store = store
        super().__init__(
            f"Oban's table in {store} is older than its migration 14: run `Oban.Migrations.up(version: 14)` there, "
            "and start again; nothing was changed"
        )


class BadStore(_Named):
    """A URL names no store. Of the URL, which may hold secrets, the message has no more than the scheme."""

    _sentence = "the store {name!r:.60} {why}"


class JobsTestError(JobsError):
    """A bad test of jobs, or a job that failed in a test."""


class BadJobsTest(JobsTestError):
    """A test asks for something impossible, so its assertion would mean nothing."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}: {advice}")


class JobFailed(JobsTestError):
    """An attempt failed in a test, though its function raised no error: it timed out, for example, or had expired."""

    def __init__(self, worker: str, error: str) -> None:
        self.worker = worker
        self.error = error
        super().__init__(f"the job of worker {worker!r} failed: {error}")


class JobNotRun(JobsTestError):
    """A test waits for the result of a job that only the test itself can run."""

    def __init__(self, job_id: int, worker: str, state: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"job {job_id} of worker {worker!r} is {state}, and no queue will run it: "
            "drain its queue before, or test in the mode inline"
        )
