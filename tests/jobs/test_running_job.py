import asyncio
import threading
from contextvars import copy_context
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.errors import BadCheckpoint, BadProgress, NoRunningJob
from headrace.jobs.running_job import RUNNING_JOB, RunningJob, current_job, deadline_of
from tests.fakes.job_records import a_job

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_a_running_job_knows_itself() -> None:
    running = RunningJob(a_job(attempt=3, max_attempts=3, sku=7))
    assert (running.id, running.attempt, running.is_last_attempt, running.args) == (7, 3, True, {"sku": 7})


def test_where_no_job_runs_there_is_no_current_one() -> None:
    with pytest.raises(NoRunningJob, match="no job runs here"):
        current_job()


@pytest.mark.asyncio
async def test_the_current_job_is_the_one_whose_context_asks_also_from_a_thread() -> None:
    async def attempt(job_id: int) -> tuple[int, int]:
        job = a_job()
        job.id = job_id
        RUNNING_JOB.set(RunningJob(job))
        await asyncio.sleep(0)
        return current_job().id, await asyncio.to_thread(lambda: current_job().id)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(job_id), context=copy_context()) for job_id in range(3)]
    assert [task.result() for task in tasks] == [(0, 0), (1, 1), (2, 2)]


def test_what_is_noted_down_is_told_once_until_it_is_taken() -> None:
    told: list[RunningJob] = []
    running = RunningJob(a_job(), told.append)
    running.progress(0.1)
    running.progress(0.2, "still packing")
    running.checkpoint({"page": 3})
    assert told == [running]
    assert running.take_changes() == {
        "progress": {"fraction": 0.2, "note": "still packing"},
        "checkpoint": {"page": 3},
    }
    assert running.take_changes() == {}
    running.progress(1)
    assert told == [running, running]


@given(cursor=JSON)
def test_the_next_attempt_finds_the_cursor_of_the_last(cursor: object) -> None:
    first = RunningJob(a_job())
    assert first.cursor is None
    first.checkpoint(cursor)
    assert first.cursor == cursor
    later = a_job(attempt=2)
    later.meta.update(first.take_changes())
    assert first.cursor == cursor
    assert RunningJob(later).cursor == cursor


def test_a_cursor_that_is_changed_afterwards_stays_as_it_was_kept() -> None:
    running = RunningJob(a_job())
    cursor = {"page": 1}
    running.checkpoint(cursor)
    cursor["page"] = 2
    assert running.cursor == {"page": 1}


@pytest.mark.parametrize("cursor", [object(), {1, 2}, float("nan"), "\ud800", datetime(2026, 1, 1, tzinfo=UTC)])
def test_a_cursor_that_is_no_json_is_refused_at_once(cursor: object) -> None:
    running = RunningJob(a_job())
    with pytest.raises(BadCheckpoint, match=r"a checkpoint is .*, and must be a JSON value"):
        running.checkpoint(cursor)
    assert running.take_changes() == {}


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_progress_is_from_0_to_1(fraction: float) -> None:
    with pytest.raises(BadProgress, match="a number from 0 to 1"):
        RunningJob(a_job()).progress(fraction)


def test_a_note_is_kept_short() -> None:
    running = RunningJob(a_job())
    running.progress(0, "x" * 5000)
    assert running.take_changes() == {"progress": {"fraction": 0.0, "note": "x" * 1000}}


def test_a_checkpoint_that_is_nested_too_deep_is_refused_with_a_sentence() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadCheckpoint, match="nested too deep"):
        RunningJob(a_job()).checkpoint(deep)


def test_no_checkpoint_is_lost_between_a_thread_that_notes_and_a_loop_that_takes() -> None:
    woken = threading.Event()
    running = RunningJob(a_job(), lambda _: woken.set())
    last = 20_000

    def count() -> None:
        for number in range(last + 1):
            running.checkpoint(number)

    thread = threading.Thread(target=count)
    thread.start()
    seen: object = None
    while seen != last:
        assert woken.wait(30)
        woken.clear()
        seen = running.take_changes().get("checkpoint", seen)
    thread.join()


def test_a_running_job_that_was_called_off_says_so_and_why() -> None:
    running = RunningJob(a_job())
    before = running.is_cancelled
    running.cancel("the order was returned")
    running.cancel("too late")
    assert (before, running.is_cancelled) == (False, True)
    assert running.cancel_reason == "the order was returned"


def test_a_deadline_is_read_from_the_meta_whoever_wrote_it() -> None:
    job = a_job()
    assert deadline_of(job) is None
    job.meta["deadline"] = "2026-11-24T12:00:00.000000Z"
    assert RunningJob(job).deadline == datetime(2026, 11, 24, 12, tzinfo=UTC)
    for foreign in ("soon", 5, None):
        job.meta["deadline"] = foreign
        assert deadline_of(job) is None
