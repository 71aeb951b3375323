"""The registry in a pipeline: keys are added, and found."""

from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio
from pydantic import ValidationError

from headrace.errors import StartFailed
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.stages.jobs import RegistryOptions
from headrace.stages.sinks.registry_add import RegistryAdd
from headrace.stages.transforms.registry_find import RegistryFind, RegistryFindOptions
from tests.fakes import job_workers as workers
from tests.stages.runs import run_events

pytestmark = pytest.mark.asyncio

KEY = {"worker": workers.double.name, "key": "event.n"}


@pytest_asyncio.fixture
async def jobs() -> AsyncIterator[Jobs]:
    workers.clear_bench()
    async with Jobs(MemoryStore(), WorkerCatalogue([workers.double, workers.wait]), {"default": 10}) as made:
        yield made


def add(jobs: Jobs, options: Mapping[str, object] = KEY) -> RegistryAdd:
    return RegistryAdd(RegistryOptions.model_validate(options), jobs)


def find(jobs: Jobs, options: Mapping[str, object] = KEY) -> RegistryFind:
    return RegistryFind(RegistryFindOptions.model_validate(options), jobs)


async def finished(jobs: Jobs) -> None:
    for job in await jobs.store.find(JobFilter(), 100):
        await jobs.result(job.id, 5)


async def test_a_key_is_added_once_and_its_result_is_found(jobs: Jobs) -> None:
    assert (await run_events([{"n": 1}, {"n": 2}, {"n": 1}], add(jobs))).outcome.is_fine
    assert await jobs.store.count(JobFilter()) == 2
    await finished(jobs)
    ran = await run_events([{"n": 2, "a": 0}, {"n": 3}], find(jobs))
    first, second = ran.events
    assert isinstance(first, dict)
    at = first["result"].pop("at")
    assert isinstance(at, str)
    assert first == {"n": 2, "a": 0, "result": {"state": "found", "value": 4}}
    assert second == {"n": 3, "result": {"state": "not found"}}


async def test_the_answer_goes_where_it_is_wanted_and_a_key_may_have_names(jobs: Jobs) -> None:
    by_name = {"worker": workers.double.name, "args": {"number": "event.n"}}
    await run_events([{"n": 1}], add(jobs, by_name))
    await finished(jobs)
    ran = await run_events([{"n": 1}], find(jobs, {**by_name, "into": "double"}))
    (event,) = ran.events
    assert isinstance(event, dict)
    assert event["double"]["value"] == 2


async def test_an_event_that_has_no_key_fails_alone(jobs: Jobs) -> None:
    assert (await run_events([{}, {"n": "x"}, {"n": 1}], add(jobs))).outcome.events_failed == 2
    ran = await run_events([{}, 5, {"n": 9}], find(jobs))
    assert (len(ran.events), ran.outcome.events_failed) == (1, 2)


@pytest.mark.parametrize("make", [add, find])
async def test_a_worker_that_records_nothing_has_no_registry(jobs: Jobs, make: Callable[..., RegistryAdd]) -> None:
    with pytest.raises(StartFailed, match="record=True"):
        await run_events([], make(jobs, {"worker": workers.wait.name, "key": "event"}))


async def test_options_that_make_no_sense_are_refused() -> None:
    for options in ({"worker": "a"}, {"worker": "a", "key": "event", "args": {}}, {"key": "event"}):
        with pytest.raises(ValidationError):
            RegistryOptions.model_validate(options)
