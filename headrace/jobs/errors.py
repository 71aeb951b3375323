"""The errors of jobs and of their testing help.

::

    HeadraceError
    └── JobsError                 a job, its worker, its queue, its store
        ├── BadWorker             a function, or an option, that makes no worker
        ├── WorkerNameTaken       two workers of one name
        ├── BadJobs               what no Jobs can be made of
        ├── BadModule             a module of workers that cannot be imported
        ├── NotBound              a worker whose jobs nobody keeps yet, or somebody else keeps
        ├── BadArguments          what a worker is to be called with does not fit it
        ├── AlreadyOpen           a Jobs that is opened a second time
        ├── NoQueue               a queue that this process does not run
        ├── BadQueue              a name or a limit that no queue can have
        ├── QueueTaken            a queue that this process runs, and somebody else is to take
        ├── NotSqlite             a transaction of SQLite, and jobs that are kept elsewhere
        ├── BadFilter             a filter of jobs that could fit none, or means nothing
        ├── BadTime               a time without a time zone, or what is no time
        ├── NoRunningJob          no job runs here
        ├── NoJob                 the store has no job of that number
        ├── ResultTimeout         a job whose result somebody waits for takes longer; also a TimeoutError
        ├── JobDiscarded          a job whose result somebody waits for was discarded
        │   └── JobExpired        it was not run, for its time to begin was over
        ├── JobCancelled          a job whose result somebody waits for was cancelled
        ├── NotRecorded           a job that has ended keeps no result
        ├── JobDropped            a middleware let a job go, so it has neither id nor result
        ├── BadProgress           a progress that is no fraction
        ├── BadCheckpoint         a cursor that is no JSON
        ├── BadCron               a cron expression that cannot be read, or never comes
        ├── BadCrontab            entries of a crontab that do not fit together
        ├── BadLimit              a limit of a queue that says what it must not
        ├── BadAnswer             what a worker returned cannot be kept, or means nothing
        ├── JobTimeout            an attempt took longer than its worker allows
        ├── EncryptionError       args that cannot be encrypted or decrypted
        ├── BadTransaction        a connection in whose transaction no job can be enqueued
        ├── NotJson               args or meta of a job that are no JSON
        ├── BadUnique             what makes jobs one does not fit together
        ├── BadWorkflow           steps that do not fit together, or one that is not there
        ├── BadBatch              a job that cannot be of a batch
        ├── BadStore              a URL that names no store
        └── NewerSchema           a store that a newer headrace has made

::

    JobsError
    └── JobsTestError     a test of jobs cannot be what it says, or found something wrong
        ├── BadJobsTest   a test asks for what cannot be
        ├── JobFailed     an attempt that a test ran failed, though its function raised nothing
        └── JobNotRun     the result of a job is waited for that only the test itself could run
"""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from headrace.errors import HeadraceError


class JobsError(HeadraceError):
    """Something about a job, its worker, its queue or its store."""


class BadWorker(JobsError):
    """A function cannot be a worker, or an option of it says what it must not."""

    def __init__(self, function: str, why: str) -> None:
        self.function = function
        self.why = why
        super().__init__(f"{function} cannot be a worker: {why}")


class WorkerNameTaken(JobsError):
    """Two workers have one name, so that a job of that name could mean either."""

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name = name
        super().__init__(
            f"the workers {first} and {second} both have the name {name!r}: give one of them another name= or alias"
        )


class BadJobs(JobsError):
    """A `Jobs` is to be made of something that is no store, or no workers."""

    def __init__(self, found: object, what: str, allowed: str) -> None:
        super().__init__(f"a Jobs cannot have {found!r:.100} as its {what}: hand in {allowed}")


class BadModule(JobsError):
    """A module that is to have workers cannot be imported."""

    def __init__(self, module: str, why: str) -> None:
        self.module = module
        super().__init__(f"the module {module!r} of workers {why}")


class NotBound(JobsError):
    """A worker is to enqueue, and no `Jobs` keeps its jobs, or another one does."""

    def __init__(self, worker: str, why: str, advice: str) -> None:
        self.worker = worker
        super().__init__(f"worker {worker!r} {why}: {advice}")


class BadArguments(JobsError):
    """What a worker is to be called with does not fit its parameters; `parameter` is the first that is wrong."""

    def __init__(self, worker: str, parameter: str | None, why: str) -> None:
        self.worker = worker
        self.parameter = parameter
        self.why = why
        where = "" if parameter is None else f"the argument {parameter!r} of "
        super().__init__(f"{where}worker {worker!r} {why}")


def torn_args(worker: str) -> BadArguments:
    """Return the refusal of a job whose row holds no args."""
    return BadArguments(worker, None, "is not run: the args of the job are no JSON object; mend its row, then retry it")


class AlreadyOpen(JobsError):
    """A `Jobs` that is open is to be opened once more."""

    def __init__(self) -> None:
        super().__init__(
            "these Jobs are open already, and go on: use them as they are, or make others with a new store"
        )


class NoQueue(JobsError):
    """This process does not run a queue of that name."""

    def __init__(self, queue: str, known: Iterable[str]) -> None:
        self.queue = queue
        names = ", ".join(sorted(known)) or "none"
        super().__init__(f"this process runs no queue {queue!r}: it runs {names}; add it to the queues of its Jobs")


class BadQueue(JobsError):
    """A queue cannot be called so, or cannot run so many jobs at a time."""

    def __init__(self, found: object, what: str, allowed: str) -> None:
        super().__init__(f"{what} is {found!r:.100}, and must be {allowed}")


class QueueTaken(JobsError):
    """Somebody is to take the jobs of a queue that this process runs by its workers."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        super().__init__(f"this process runs the queue {queue!r} itself: take it out of the queues of its Jobs")


class NotSqlite(JobsError):
    """A job is to be part of a transaction of SQLite, and the jobs are kept in another store."""

    def __init__(self, store: str) -> None:
        self.store = store
        super().__init__(
            f"the jobs are kept in a {store}, which is no part of a transaction of SQLite: "
            "use enqueue, or keep them in the same SQLite file"
        )


class BadFilter(JobsError):
    """What is to say which jobs are meant says what no job has, or is no filter at all."""

    def __init__(self, found: object, what: str, advice: str) -> None:
        super().__init__(f"{what} {found!r:.100}: {advice}")


class BadTime(JobsError):
    """What is to be a time or a span of time is none, or has no time zone, and so may be hours off."""

    def __init__(self, found: object, what: str, why: str) -> None:
        shown = str(found) if isinstance(found, datetime) else repr(found)
        super().__init__(f"{what} is {shown:.100}, {why}")


class NoRunningJob(JobsError):
    """Somebody asks for the job that runs, where none does."""

    def __init__(self) -> None:
        super().__init__("no job runs here: ask for the current job only inside a worker that a queue runs")


class NoJob(JobsError):
    """The store has no job of that number: it was deleted or pruned."""

    def __init__(self, job_id: int) -> None:
        self.job_id = job_id
        super().__init__(f"there is no job {job_id}: it was deleted, or ended so long ago that it was pruned")


class ResultTimeout(JobsError, TimeoutError):
    """A job had not ended when the time was over that somebody waits for its result; the job goes on."""

    def __init__(self, job_id: int, seconds: float, worker: str | None, state: str | None) -> None:
        """Without a `worker` the store had not even said what job that is."""
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
    """A job whose result somebody waits for failed for good; `error` is its last."""

    _became: ClassVar[str] = "was discarded"

    def __init__(self, job_id: int, worker: str, error: str) -> None:
        self.job_id = job_id
        self.error = error
        super().__init__(f"job {job_id} of worker {worker!r} {self._became}: {error or 'it says no reason'}")


class JobExpired(JobDiscarded):
    """A job whose result somebody waits for was not run, for it expired; `error` says when."""

    _became: ClassVar[str] = "was not run"

    def __init__(self, job_id: int, worker: str, error: str) -> None:
        advice = "give its worker longer expires_in_seconds, or its queue more slots"
        super().__init__(job_id, worker, f"{error or 'it expired'}: {advice}")
        self.error = error


class JobCancelled(JobsError):
    """A job whose result somebody waits for was cancelled; `error` is the reason it gave, if any."""

    def __init__(self, job_id: int, worker: str, error: str) -> None:
        self.job_id = job_id
        self.error = error
        super().__init__(f"job {job_id} of worker {worker!r} was cancelled: {error or 'from outside'}")


class NotRecorded(JobsError):
    """A job has ended well and keeps no result."""

    def __init__(self, job_id: int, worker: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"job {job_id} has ended, and its worker {worker!r} records no result: give the worker record=True"
        )


class JobDropped(JobsError):
    """A middleware decided that a job is not to be enqueued; it has neither an id nor a result."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        super().__init__(
            f"a middleware dropped the job of worker {worker!r}: ask its handle whether it `is_dropped` first"
        )


class BadProgress(JobsError):
    """A progress is no fraction."""

    def __init__(self, found: object) -> None:
        super().__init__(f"the progress of a job is {found!r:.100}, and must be a number from 0 to 1")


class BadCheckpoint(JobsError):
    """A cursor is no JSON, so that no later attempt could have it back."""

    def __init__(self, found: object) -> None:
        super().__init__(f"a checkpoint is {found!r:.100}, and must be a JSON value: text, a number, a list, an object")


class BadCron(JobsError):
    """A cron expression cannot be read, or never comes."""

    def __init__(self, expression: str, why: str) -> None:
        self.expression = expression
        self.why = why
        super().__init__(f"the cron expression {expression!r:.100} {why}")


class BadCrontab(JobsError):
    """Entries of a crontab do not fit together, or one that is asked for is not there."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        super().__init__(f"the entry {name!r} of the crontab {why}")


class BadLimit(JobsError):
    """A limit of a queue says what it must not."""

    def __init__(self, what: str, found: object, allowed: str) -> None:
        self.what = what
        super().__init__(f"the {what} of a queue is {found!r:.100}, and must be {allowed}")


class BadAnswer(JobsError):
    """A worker returned something that cannot be kept, or made an answer that means nothing."""

    def __init__(self, what: str, why: str) -> None:
        self.why = why
        super().__init__(f"{what} {why}")


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
    """Args cannot be encrypted or decrypted; no key and no value of theirs stands in the sentence."""

    def __init__(self, why: str, advice: str) -> None:
        super().__init__(f"{why}: {advice}")


class BadTransaction(JobsError):
    """A job is to be enqueued in somebody's own transaction, which is none, or not on the file of the store."""

    def __init__(self, worker: str, why: str) -> None:
        self.worker = worker
        super().__init__(f"no job of worker {worker!r} can be enqueued through that connection: {why}")


class NotJson(JobsError):
    """The args or the meta of a job hold something that JSON cannot."""

    def __init__(self, worker: str, why: str) -> None:
        self.worker = worker
        super().__init__(
            f"the args or the meta of a job of worker {worker!r} cannot be kept as JSON ({why}): "
            "hand in text, finite numbers, true, false, null, and lists and objects of those"
        )


class BadUnique(JobsError):
    """What makes jobs one does not fit together."""

    def __init__(self, option: str, found: object, allowed: str) -> None:
        self.option = option
        self.found = found
        super().__init__(f"{option} of what is unique is {found!r:.100}, and must be {allowed}")


class BadWorkflow(JobsError):
    """Steps of a workflow do not fit together, or one that is asked for is not there."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why
        super().__init__(f"the workflow {name!r} {why}")


class BadBatch(JobsError):
    """A job cannot be of a batch."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why
        super().__init__(f"the batch {name!r} {why}: give it a job of its own")


class NewerSchema(JobsError):
    """The tables of a store are of a newer headrace than this one."""

    def __init__(self, store: str, found: int, known: int) -> None:
        self.store = store
        self.found = found
        self.known = known
        super().__init__(
            f"the tables of the jobs in {store} are of version {found}, and this headrace knows up to {known}: "
            "install the newer one here, too; nothing was changed"
        )


class BadStore(JobsError):
    """A URL names no store of jobs; of it no more than `scheme` stands in the sentence, for it may hold secrets."""

    def __init__(self, scheme: str, why: str) -> None:
        self.scheme = scheme
        self.why = why
        super().__init__(f"the store {scheme!r:.60} {why}")


class JobsTestError(JobsError):
    """A test of jobs cannot be what it says, or found something wrong."""


class BadJobsTest(JobsTestError):
    """A test asks for what cannot be, so that what it asserts would mean nothing."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}: {advice}")


class JobFailed(JobsTestError):
    """An attempt that a test ran failed, though its function raised nothing: it took too long, say, or had expired."""

    def __init__(self, worker: str, error: str) -> None:
        self.worker = worker
        self.error = error
        super().__init__(f"the job of worker {worker!r} failed: {error}")


class JobNotRun(JobsTestError):
    """The result of a job is waited for that only the test itself could run."""

    def __init__(self, job_id: int, worker: str, state: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"job {job_id} of worker {worker!r} is {state}, and would be waited for in vain: "
            "drain its queue before, or test in the mode inline"
        )
