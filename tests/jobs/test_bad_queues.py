"""Names and limits that no queue can have are refused where they are said, and nothing of them is remembered."""

from pathlib import Path

import pytest

from headrace.jobs.errors import BadQueue
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import QueueOptions
from headrace.jobs.stores.sqlite_store import SqliteStore
from tests.fakes.elixir_rows import raw
from tests.fakes.job_desk import Desk

NO_LIMITS = [0, -1, True, "x", 1.5, None, float("nan"), 2**31]
NO_NAMES = ["", "q" * 128, "q" * 500, 5, None]


@pytest.mark.parametrize("limit", NO_LIMITS)
def test_a_limit_that_is_none_is_refused_by_jobs(limit: int) -> None:
    for queues in ({"default": limit}, {"default": QueueOptions(limit)}):
        with pytest.raises(
            BadQueue, match=r"^the limit of queue 'default' is .*, and must be a whole number from 1 to"
        ):
            Jobs("memory:", WorkerCatalogue(), queues)


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_no_queue_has_is_refused_by_jobs(name: str) -> None:
    with pytest.raises(
        BadQueue, match=r"^the name of a queue is .*, and must be text of 1 to 127 characters$"
    ) as caught:
        Jobs("memory:", WorkerCatalogue(), {name: 1})
    assert len(str(caught.value)) < 200


def test_queues_that_are_no_dict_are_refused_by_jobs() -> None:
    with pytest.raises(BadQueue, match=r"^queues is \['default'\], and must be a dict of names and limits"):
        Jobs("memory:", WorkerCatalogue(), ["default"])  # type: ignore[arg-type] # that is what is wrong


def test_a_name_and_a_limit_at_the_edge_are_taken() -> None:
    Jobs("memory:", WorkerCatalogue(), {"q" * 127: 1, "default": 2**31 - 1})
    for queues in ({"q" * 128: 1}, {"default": 2**31}):
        with pytest.raises(BadQueue):
            Jobs("memory:", WorkerCatalogue(), queues)


@pytest.mark.asyncio
@pytest.mark.parametrize("limit", NO_LIMITS)
async def test_a_limit_that_is_none_is_refused_by_scale_and_the_queue_goes_on(tmp_path: Path, limit: int) -> None:
    desk = Desk(tmp_path / "jobs.db")
    desk.gate.set()
    async with desk.service() as jobs:
        with pytest.raises(BadQueue, match=r"the limit of queue 'default'"):
            await jobs.scale("default", limit)
        assert await jobs.store.queue_settings() == []
        assert jobs.statistics()["default"].limit == 3
        assert await (await desk.wait.enqueue(1)).result(5) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("limit", ["'x'", "0", "-1", "1.5", "9000000000000"])
async def test_a_limit_that_a_hand_wrote_into_the_store_is_as_none_was_said(tmp_path: Path, limit: str) -> None:
    desk = Desk(tmp_path / "jobs.db")
    desk.gate.set()
    store = SqliteStore(desk.path)
    await store.open()
    await store.close()
    raw(desk.path, f"insert into headrace_queues (queue, concurrency) values ('default', {limit})")  # noqa: S608 - our own
    async with desk.service() as jobs:
        assert jobs.statistics()["default"].limit == 3
        assert await (await desk.wait.enqueue(1)).result(5) == 1
