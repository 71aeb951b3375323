"""The pytest plugin: the fixtures and the marker with which a project tests its workers.

It imports no jobs module until a test uses a fixture, so that pytest starts as fast as without it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from headrace.jobs.testing.runs import JobsClock
    from headrace.jobs.testing.tester import JobsTester

MARKER: Final = "headrace_jobs"
MODULES: Final = "headrace_jobs_modules"
MODE: Final = "headrace_jobs_mode"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini options of a project."""
    parser.addini(MODULES, "modules whose workers tests enqueue to, and run", type="args", default=[])
    parser.addini(MODE, "how enqueued jobs run: manual keeps them, inline runs them at once", default="manual")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    line = f"{MARKER}(mode=, modules=, workers=, settings=): the workers of the fixture {MARKER}, and how jobs run"
    config.addinivalue_line("markers", line)


@pytest.fixture
def headrace_jobs(request: pytest.FixtureRequest) -> "Iterator[JobsTester]":
    """A `JobsTester` to which the project's workers enqueue during the test; it needs no event loop.

    The marker `headrace_jobs` sets the workers and the mode, the nearest marker first, and then the options
    `headrace_jobs_modules` and `headrace_jobs_mode`.
    """
    from headrace.jobs.testing.markers import marked_tester

    of_project = {"modules": request.config.getini(MODULES), "mode": request.config.getini(MODE)}
    markers = [(marker.args, marker.kwargs) for marker in request.node.iter_markers(MARKER)]
    with marked_tester([*markers, ((), of_project)]) as tester:
        yield tester


@pytest.fixture
def headrace_jobs_clock(headrace_jobs: "JobsTester") -> "JobsClock":
    """The clock of the jobs: it stands still, and `move(seconds)` makes the jobs available that are due by then."""
    return headrace_jobs.clock
