"""The errors of testing help, a branch of the tree in `headrace.jobs.errors`.

::

    JobsError
    └── JobsTestError     a test of jobs cannot be what it says, or found something wrong
        ├── BadJobsTest   a test asks for what cannot be
        ├── JobFailed     an attempt that a test ran failed, though its function raised nothing
        └── JobNotRun     the result of a job is waited for that only the test itself could run
"""

from headrace.jobs.errors import JobsError


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
