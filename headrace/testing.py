"""Help for tests of your pipelines and workers.

The pytest plugin provides `JobsTester` as the fixture `headrace_jobs`. Each name is loaded on first use.
"""

from typing import TYPE_CHECKING

from headrace.lazy import lazy_names

if TYPE_CHECKING:
    from headrace.jobs.errors import BadJobsTest, JobFailed, JobNotRun, JobsTestError
    from headrace.jobs.testing.markers import marked_tester
    from headrace.jobs.testing.runs import Drained, JobsClock
    from headrace.jobs.testing.tester import JobsTester, TesterMode
    from headrace.pipeline.testing import TestSource, push_test_batch, push_test_message

__all__ = [
    "BadJobsTest",
    "Drained",
    "JobFailed",
    "JobNotRun",
    "JobsClock",
    "JobsTestError",
    "JobsTester",
    "TestSource",
    "TesterMode",
    "marked_tester",
    "push_test_batch",
    "push_test_message",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BadJobsTest": "jobs.errors",
        "Drained": "jobs.testing.runs",
        "JobFailed": "jobs.errors",
        "JobNotRun": "jobs.errors",
        "JobsClock": "jobs.testing.runs",
        "JobsTestError": "jobs.errors",
        "JobsTester": "jobs.testing.tester",
        "TestSource": "pipeline.testing",
        "TesterMode": "jobs.testing.tester",
        "marked_tester": "jobs.testing.markers",
        "push_test_batch": "pipeline.testing",
        "push_test_message": "pipeline.testing",
    },
)
