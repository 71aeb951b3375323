"""Help for tests of workers; the pytest plugin has it as the fixture `headrace_jobs`."""

from headrace.jobs.errors import BadJobsTest, JobFailed, JobNotRun, JobsTestError
from headrace.jobs.testing.markers import marked_tester
from headrace.jobs.testing.runs import Drained, JobsClock
from headrace.jobs.testing.tester import JobsTester, TesterMode

__all__ = [
    "BadJobsTest",
    "Drained",
    "JobFailed",
    "JobNotRun",
    "JobsClock",
    "JobsTestError",
    "JobsTester",
    "TesterMode",
    "marked_tester",
]
