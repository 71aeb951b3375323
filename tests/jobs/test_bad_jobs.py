"""Jobs are made of a store and of modules, however those are named; of anything else they are not."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from headrace.jobs.errors import BadJobs, BadModule
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.worker_catalogue import Modules
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.store import JobStore
from tests.fakes import job_workers

NAME = "tests.fakes.job_workers"


@pytest.mark.parametrize(
    "modules", [NAME, [NAME], (NAME,), job_workers, [job_workers], [NAME, job_workers]], ids=lambda one: str(one)[:20]
)
def test_modules_are_named_or_handed_in_one_or_many(modules: Modules) -> None:
    assert f"{NAME}.double" in Jobs("memory:", modules).catalogue.names


@pytest.mark.parametrize("workers", [job_workers.double, [job_workers.double]], ids=["one", "list"])
def test_workers_are_handed_in_without_their_module(workers: Modules) -> None:
    assert Jobs("memory:", workers).catalogue.names == (f"{NAME}.double",)


def test_the_module_that_runs_may_be_handed_in_which_cannot_be_imported_by_its_name() -> None:
    module = ModuleType("__main__")
    module.double = job_workers.double  # type: ignore[attr-defined] # as a script has its functions
    assert Jobs("memory:", module).catalogue.names == (f"{NAME}.double",)


@pytest.mark.parametrize("workers", [None, 5, [None], [NAME, 5], [len], len])
def test_what_names_no_module_is_refused(workers: Modules) -> None:
    with pytest.raises(
        BadJobs, match=r"^a Jobs cannot have .* as its workers: hand in modules or names of them, as in"
    ):
        Jobs("memory:", workers)


def test_a_module_without_workers_is_named_whole() -> None:
    with pytest.raises(BadModule, match=r"^the module 'json' of workers has none"):
        Jobs("memory:", "json")
    with pytest.raises(BadModule, match=r"^the module 'sys' of workers has none"):
        Jobs("memory:", [sys])


@pytest.mark.parametrize("store", [5, None, Path("shop.db"), MemoryStore, len])
def test_what_is_no_store_is_refused(store: Callable[[], JobStore]) -> None:
    with pytest.raises(
        BadJobs, match=r"^a Jobs cannot have .* as its store: hand in a store or its URL, as in 'sqlite:///"
    ):
        Jobs(store, NAME)  # type: ignore[arg-type] # that is what is wrong
