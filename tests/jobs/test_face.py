"""The face of jobs: what programs import from `headrace.jobs` itself."""

import subprocess
import sys

import pytest

from headrace import jobs


def shown(code: str) -> str:
    """Return what a new interpreter prints."""
    return subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_the_face_is_sorted_and_every_name_of_it_can_be_had() -> None:
    names = jobs.__all__
    assert names == sorted(names)
    assert 15 <= len(names) <= 45
    classes_and_functions = [name for name in names if name != "NextCall"]  # which names the type of a callable
    assert [getattr(jobs, name).__name__ for name in classes_and_functions] == classes_and_functions
    assert jobs.NextCall is not None
    assert dir(jobs) == names


def test_the_face_says_what_it_has_when_asked_for_something_else() -> None:
    with pytest.raises(AttributeError, match=r"'Quene'; it has: .*Unique"):
        getattr(jobs, "Quene")  # noqa: B009 - a type checker would refuse the dot


def test_the_face_loads_the_service_only_when_it_is_used() -> None:
    code = (
        "import sys, headrace.jobs; print([name for name in sys.modules if name in ('sqlite3', 'headrace.jobs.jobs')])"
    )
    assert "headrace.jobs.jobs" not in shown(code)


@pytest.mark.parametrize(
    "first", ["headrace.jobs", "headrace.jobs.worker", "headrace.jobs.errors", "headrace.jobs.jobs"]
)
def test_worker_is_the_function_whatever_was_loaded_before(first: str) -> None:
    then = "from headrace.jobs.worker import Worker; from headrace.jobs import worker; print(type(worker))"
    assert shown(f"import {first}; {then}") == "<class 'function'>"
