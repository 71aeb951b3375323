"""The driver when what it runs is cancelled: by its owner, by its deadline, or by somebody else."""

import asyncio
import inspect
import logging

import pytest

from tests.fakes.driving import Runs, give
from tests.fakes.processes import Abort, Oops, hops, said

pytestmark = [pytest.mark.usefixtures("vanished")]


@pytest.mark.asyncio
async def test_a_future_that_somebody_cancelled_is_told_and_the_task_lives_on() -> None:
    runs = Runs()
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    runs.run(runs.here())
    runs.run(future)
    await hops(3)
    future.cancel()
    runs.run(runs.here())
    ends = await runs.ended(3)
    assert isinstance(ends[1], asyncio.CancelledError)
    assert len(set(runs.tasks)) == 1
    await runs.close()


@pytest.mark.asyncio
async def test_a_task_that_somebody_cancelled_runs_what_is_left_and_ends() -> None:
    runs = Runs()
    runs.run(runs.forever())
    runs.run(runs.here())
    await hops(3)
    task = runs.driver._task
    assert task is not None
    task.cancel()
    ends = await runs.ended(2)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1] is None
    assert runs.tasks[0] is task
    await hops(1)
    assert task.done()


@pytest.mark.asyncio
@pytest.mark.parametrize("is_idle", [True, False])
async def test_what_comes_after_the_task_was_cancelled_runs_in_a_new_one(*, is_idle: bool) -> None:
    runs = Runs()
    runs.run(runs.here() if is_idle else runs.forever())
    await hops(5)
    task = runs.driver._task
    assert task is not None
    task.cancel()
    await hops(2)
    assert task.done()
    for count in (2, 3):
        runs.run(runs.here())
        await runs.ended(count)
    assert task not in runs.tasks[-4:]
    assert len(set(runs.tasks[-4:])) == 1
    await runs.close()


@pytest.mark.asyncio
async def test_work_that_takes_no_notice_of_a_foreign_cancellation_is_the_task_s_last() -> None:
    runs = Runs()
    gate: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    runs.run(runs.stubborn(gate))
    await hops(2)
    task = runs.driver._task
    assert task is not None
    task.cancel()
    await hops(2)
    gate.set_result("done")
    assert await runs.ended(2) == ["ignored", "done"]
    await hops(1)
    assert task.done()


@pytest.mark.asyncio
async def test_a_task_cancelled_before_its_first_step_tells_of_it_and_what_is_left_runs() -> None:
    runs = Runs()
    runs.run(runs.forever())
    runs.run(give("second"))
    task = runs.driver._task
    assert task is not None
    task.cancel()
    ends = await runs.ended(2)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1] == "second"
    await runs.close()


@pytest.mark.asyncio
async def test_cancel_ends_the_work_that_runs_and_the_task_lives_on() -> None:
    runs = Runs()
    runs.run(runs.here())
    runs.run(runs.forever())
    runs.run(runs.here())
    await hops(4)
    runs.driver.cancel()
    runs.driver.cancel()
    ends = await runs.ended(3)
    assert isinstance(ends[1], asyncio.CancelledError)
    assert ends[2] is None
    assert len(set(runs.tasks)) == 1
    await runs.close()


@pytest.mark.asyncio
async def test_cancel_before_the_first_step_is_told() -> None:
    runs = Runs()
    runs.run(runs.forever())
    runs.driver.cancel()
    assert isinstance((await runs.ended())[0], asyncio.CancelledError)
    await runs.close()


@pytest.mark.asyncio
async def test_cancel_before_the_first_step_with_no_patience_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = Runs()
    works = [runs.forever(), give("next")]
    for work in works:
        runs.run(work)
    runs.driver.cancel()
    runs.driver.cancel_after(0)
    ends = await runs.ended(2)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1] == "next"
    assert [inspect.getcoroutinestate(work) for work in works] == ["CORO_CLOSED"] * 2
    assert said(caplog) == []
    await runs.close()


@pytest.mark.asyncio
async def test_cancel_with_nothing_to_run_changes_nothing() -> None:
    runs = Runs()
    runs.driver.cancel()
    runs.run(give("first"))
    await runs.ended()
    runs.driver.cancel()
    runs.run(give("second"))
    assert await runs.ended(2) == ["first", "second"]
    await runs.close()


@pytest.mark.asyncio
async def test_a_cancellation_that_comes_too_late_for_its_work_does_not_hit_the_next() -> None:
    runs = Runs()

    async def cancels_itself() -> object:
        runs.driver.cancel()
        return "returned before it came"

    runs.run(cancels_itself())
    runs.run(give("next"))
    assert await runs.ended(2) == ["returned before it came", "next"]
    runs.run(give("later"))
    assert await runs.ended(3) == ["returned before it came", "next", "later"]
    await runs.close()


@pytest.mark.asyncio
async def test_a_foreign_cancellation_that_comes_together_with_one_that_is_too_late_is_heeded() -> None:
    runs = Runs()

    async def cancels_itself() -> object:
        task = asyncio.current_task()
        assert task is not None
        runs.driver.cancel()
        asyncio.get_running_loop().call_soon(task.cancel)
        return task

    runs.run(cancels_itself())
    [task] = await runs.ended()
    await hops(2)
    assert isinstance(task, asyncio.Task)
    assert task.done()


@pytest.mark.asyncio
async def test_our_cancellation_does_not_hide_a_foreign_one() -> None:
    runs = Runs()
    runs.run(runs.forever())
    await hops(2)
    task = runs.driver._task
    assert task is not None
    runs.driver.cancel()
    task.cancel()
    await runs.ended()
    await hops(2)
    assert task.done()


@pytest.mark.asyncio
async def test_work_that_is_overdue_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    runs = Runs()
    runs.run(runs.forever())
    runs.driver.cancel_after(0)
    assert isinstance((await runs.ended())[0], asyncio.CancelledError)
    assert said(caplog, logging.INFO) == ["process 'owner' cancels its callback, which went on for 0 s"]
    await runs.close()


@pytest.mark.asyncio
async def test_work_that_ends_in_time_is_not_cancelled_and_neither_is_what_comes_later() -> None:
    runs = Runs()
    runs.run(give("in time"))
    runs.driver.cancel_after(1000)
    deadline = runs.driver._deadline
    assert deadline is not None
    await runs.ended()
    assert deadline.cancelled()
    await runs.close()


@pytest.mark.asyncio
async def test_a_deadline_none_is_never() -> None:
    runs = Runs()
    runs.run(runs.forever())
    runs.driver.cancel_after(1000)
    runs.driver.cancel_after(None)
    assert runs.driver._deadline is None
    runs.driver.cancel()
    await runs.ended()
    await runs.close()


@pytest.mark.asyncio
async def test_work_that_ignores_its_cancellation_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs()
    gate: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    runs.run(runs.stubborn(gate))
    runs.run(give("next"))
    await hops(2)
    left_behind = runs.driver._task
    assert left_behind is not None
    runs.driver.cancel_after(0)
    ends = await runs.ended(3)
    assert ends[0] == "ignored"
    assert isinstance(ends[1], asyncio.CancelledError)
    assert ends[2] == "next"
    assert said(caplog) == ["process 'owner' has a callback that does not end when cancelled, and leaves it behind"]
    gate.set_result("late")
    await left_behind
    assert len(ends) == 3
    await runs.close()


@pytest.mark.asyncio
async def test_what_was_left_behind_and_raises_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs()
    gate: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    runs.run(runs.stubborn(gate))
    await hops(2)
    left_behind = runs.driver._task
    assert left_behind is not None
    runs.driver.cancel_after(0)
    await runs.ended(2)
    gate.set_exception(Oops("late"))
    await left_behind
    assert said(caplog)[1:] == ["a callback that process 'owner' had left behind raised"]
    assert len(runs.ends) == 2
    await runs.close()


def test_a_loop_that_cancels_all_tasks_at_its_end_does_not_hang() -> None:
    ends: list[object] = []

    async def main() -> None:
        runs = Runs()
        runs.ends = ends
        runs.run(runs.forever())
        runs.run(give("what closes"))
        await hops(2)
        raise Abort

    with pytest.raises(Abort):
        asyncio.run(main())
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1] == "what closes"


@pytest.mark.asyncio
async def test_what_comes_right_after_an_idle_task_was_cancelled_is_run_all_the_same() -> None:
    runs = Runs()
    runs.run(runs.here())
    await hops(5)
    task = runs.driver._task
    assert task is not None
    task.cancel()
    runs.run(runs.here())
    ends = await runs.ended(2)
    assert ends == [None, None]
    assert runs.tasks[-1] is not task
    await runs.close()
