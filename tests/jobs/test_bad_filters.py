"""Which jobs are meant is said by a filter or by a number; what means none is refused where it is said."""

from pathlib import Path
from typing import Any

import pytest

from headrace.jobs.errors import BadFilter, JobCancelled, JobDropped, NoJob
from headrace.jobs.job import STATES
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.worker import worker
from tests.fakes.enqueueing import ListService
from tests.fakes.job_desk import Desk
from tests.fakes.stepping import until


@pytest.mark.parametrize(
    ("states", "advice"),
    [
        ({"nonsense"}, f"no job is ever in the state 'nonsense': there are {', '.join(STATES)}"),
        ({"complete"}, "no job is ever in the state 'complete': did you mean 'completed'"),
        ("available", "a JobFilter cannot have states of 'available': hand in a set, such as {'available'}"),
        ({5}, "a JobFilter cannot have states of {5}: hand in a set"),
    ],
)
def test_states_that_no_job_has_are_refused(states: Any, advice: str) -> None:
    with pytest.raises(BadFilter) as caught:
        JobFilter(states=states)
    assert str(caught.value).startswith(advice)


@pytest.mark.parametrize(
    "words",
    [
        {"queues": "default"},
        {"workers": 5},
        {"tags": {None}},
        {"ids": 5},
        {"ids": {"5"}},
        {"ids": {True}},
        {"ids": "17"},
    ],
    ids=str,
)
def test_a_filter_of_no_collection_is_refused(words: dict[str, Any]) -> None:
    with pytest.raises(BadFilter, match=r"^a JobFilter cannot have .*: hand in a set, such as \{"):
        JobFilter(**words)


def test_a_filter_takes_every_state_and_whatever_collection() -> None:
    for states in (STATES, list(STATES), set(STATES), frozenset[str]()):
        found = JobFilter(states=states, ids=range(5))  # type: ignore[arg-type] # more is taken than promised
        assert (set(found.states or ()), set(found.ids or ())) == (set(states), set(range(5)))


@pytest.mark.asyncio
async def test_one_job_is_called_off_by_its_number_or_by_its_handle(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "jobs.db")
    async with desk.service() as jobs:
        waits, runs = await desk.wait.schedule_in(3600, 1), await desk.wait.enqueue(2)
        assert await jobs.cancel(waits.id) == [waits.id]
        await until(lambda: desk.calls == [2])
        assert await runs.cancel() is True
        with pytest.raises(JobCancelled):
            await runs.result(5)
        assert await runs.cancel() is False
        assert await jobs.cancel(99) == []
        assert await jobs.retry(runs.id) == [runs.id]
        with pytest.raises(NoJob):
            await jobs.result(99, 5)


@pytest.mark.asyncio
@pytest.mark.parametrize("which", [None, "1", True, 1.0, [1]])
async def test_what_means_no_jobs_calls_none_off(tmp_path: Path, which: Any) -> None:
    desk = Desk(tmp_path / "jobs.db")
    async with desk.service() as jobs:
        handle = await desk.wait.schedule_in(3600, 1)
        for change in (jobs.cancel, jobs.retry):
            with pytest.raises(BadFilter, match=r"^no jobs are meant by .*: hand in a job's number, or a JobFilter"):
                await change(which)
        assert (await handle.job()).state == "scheduled"


@pytest.mark.asyncio
async def test_a_job_that_was_dropped_cannot_be_called_off() -> None:
    @worker(name="unwanted")
    def unwanted() -> None: ...

    unwanted.binding.bind(ListService(dropped=["unwanted"]))
    handle = await unwanted.enqueue()
    with pytest.raises(JobDropped):
        await handle.cancel()
