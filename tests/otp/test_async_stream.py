"""Streams of tasks: results in order or as they come, bounded, and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing

import pytest

from headrace.errors import BadOption, TaskFailed, TaskTimeout, TooManyChildren
from headrace.otp.task import Task
from headrace.otp.task_supervisor import TaskSupervisor
from tests.fakes.cancelling import HOWS, How, at_every_step, cancelled_at
from tests.fakes.processes import Oops, hops
from tests.fakes.tasks import Crowd, Door, Numbers, double, double_later

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


async def read_into(results: list[object], stream: AsyncIterator[object]) -> None:
    async for result in stream:
        results.append(result)  # noqa: PERF401 - what came before an error is kept


async def fail_at_three(number: int) -> int:
    await asyncio.sleep(0)
    if number == 3:
        raise Oops
    return number


async def test_results_come_in_the_order_of_any_source() -> None:
    assert [result async for result in Task.async_stream(double_later, range(5))] == [0, 2, 4, 6, 8]
    assert [result async for result in Task.async_stream(double, Numbers(5).later())] == [0, 2, 4, 6, 8]
    assert [result async for result in Task.async_stream(double, [])] == []


async def test_nothing_is_pulled_before_the_first_result_is_asked_for() -> None:
    source = Numbers(9)
    stream = Task.async_stream(double, source)
    await hops()
    assert source.pulled == 0
    await stream.aclose()


async def test_the_source_is_pulled_only_as_results_are_taken() -> None:
    source = Numbers(100)
    async with aclosing(Task.async_stream(double_later, source, max_concurrency=3)) as stream:
        await anext(stream)
        await hops(50)
        assert source.pulled == 7
        await anext(stream)
        await hops(50)
        assert source.pulled == 8
    assert source.is_closed


async def test_unordered_results_come_as_they_are_ready() -> None:
    crowd = Crowd()
    stream = Task.async_stream(crowd.work, [9, 1, 5], ordered=False)
    assert [result async for result in stream] == [1, 5, 9]


async def test_the_first_failure_ends_the_stream_and_all_that_is_in_flight() -> None:
    door = Door()

    async def work(number: int) -> object:
        return await (fail_at_three(number) if number < 4 else door.pass_through(number))

    source, results = Numbers(9), list[object]()
    with pytest.raises(TaskFailed) as caught:
        await read_into(results, Task.async_stream(work, source, max_concurrency=5))
    assert results == [0, 1, 2]
    assert isinstance(caught.value.reason, Oops)
    assert door.waiting == set()
    assert 4 in door.cancelled
    await hops()
    assert door.waiting == set()
    assert source.is_closed


async def test_failures_are_given_in_place_when_asked_for() -> None:
    stream = Task.async_stream(fail_at_three, range(5), return_exceptions=True)
    outcomes = [outcome async for outcome in stream]
    assert isinstance(outcomes.pop(3), TaskFailed)
    assert outcomes == [0, 1, 2, 4]


async def test_an_element_that_takes_too_long_ends_the_stream_although_errors_are_given_in_place() -> None:
    door = Door()
    stream = Task.async_stream(door.pass_through, [1], timeout_seconds=0, return_exceptions=True)
    with pytest.raises(TaskTimeout, match="task 'pass_through' had no result within 0 s"):
        await anext(stream)
    assert door.waiting == set()


async def test_an_element_that_takes_too_long_can_fail_alone() -> None:
    door = Door()

    async def work(number: int) -> object:
        return await door.pass_through(number) if number == 1 else number

    stream = Task.async_stream(
        work, range(3), timeout_seconds=0.01, on_timeout="kill_task", return_exceptions=True, max_concurrency=1
    )
    outcomes = [outcome async for outcome in stream]
    assert isinstance(outcomes.pop(1), TaskTimeout)
    assert outcomes == [0, 2]
    assert door.cancelled == [1]


@pytest.mark.parametrize("is_later", [False, True])
async def test_what_a_source_raises_comes_after_the_results_of_what_it_gave_before(*, is_later: bool) -> None:
    def broken() -> Iterator[int]:
        yield from range(3)
        raise Oops

    async def broken_later() -> AsyncIterator[int]:
        for number in broken():
            yield number

    results: list[object] = []
    with pytest.raises(Oops):
        await read_into(results, Task.async_stream(double_later, broken_later() if is_later else broken()))
    assert results == [0, 2, 4]


async def test_a_break_ends_all_that_is_in_flight_and_closes_the_source() -> None:
    door, source = Door(), Numbers(9)

    async def work(number: int) -> object:
        return await door.pass_through(number) if number else number

    async for result in Task.async_stream(work, source, max_concurrency=4):
        assert result == 0
        await hops()
        break
    await hops(30)
    assert door.waiting == set()
    assert door.cancelled == [1, 2, 3, 4]
    assert source.is_closed


@pytest.mark.parametrize("source", [lambda numbers: numbers, Numbers.later])
@pytest.mark.parametrize("is_ordered", [True, False])
@pytest.mark.parametrize("how", HOWS)
async def test_a_reader_that_is_cancelled_anywhere_leaves_nothing_behind(
    source: Callable[[Numbers], "Numbers | AsyncIterator[int]"], how: How, *, is_ordered: bool
) -> None:
    async def attempt(step: int) -> bool:
        numbers, crowd = Numbers(4), Crowd()

        async def read() -> None:
            stream = Task.async_stream(crowd.work, source(numbers), max_concurrency=2, ordered=is_ordered)
            async with aclosing(stream):
                async for _ in stream:
                    await asyncio.sleep(0)

        was_cancelled = await cancelled_at(read(), step, how)
        assert crowd.present == 0
        assert numbers.is_closed
        assert all("stream" not in task.get_name() for task in asyncio.all_tasks())
        return was_cancelled

    assert await at_every_step(attempt) > 2


async def test_a_source_that_swallows_its_cancellation_is_pulled_no_further() -> None:
    door, pulled = Door(), 0

    async def stubborn() -> AsyncIterator[int]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled
            try:
                await door.pass_through()
            except asyncio.CancelledError:
                continue

    async with aclosing(Task.async_stream(double, stubborn())) as stream:
        assert await anext(stream) == 2
    assert pulled == 2


async def test_the_elements_of_a_supervisor_s_stream_end_with_the_supervisor() -> None:
    door = Door()
    async with TaskSupervisor("tasks", shutdown_seconds=0) as tasks:
        stream = tasks.async_stream(door.pass_through, range(9), max_concurrency=2)
        first = asyncio.ensure_future(anext(stream))
        await door.has_come.wait()
        await hops()
        assert len(tasks.children()) == 2
    with pytest.raises(TaskFailed, match="it was stopped"):
        await first
    assert door.waiting == set()


async def test_a_stream_that_needs_more_tasks_than_its_supervisor_may_have_is_told_so() -> None:
    door = Door()
    async with TaskSupervisor("tasks", max_children=2, shutdown_seconds=0) as tasks:
        results = tasks.async_stream(door.pass_through, range(3), max_concurrency=3)
        asyncio.get_running_loop().call_later(0.001, door.opened.set)
        assert [await anext(results), await anext(results)] == [0, 1]
        with pytest.raises(TooManyChildren):
            await anext(results)


async def test_options_that_do_not_fit_are_refused_at_once() -> None:
    with pytest.raises(BadOption, match="max_concurrency is 0, and must be a whole number, 1 or more"):
        Task.async_stream(double, [], max_concurrency=0)
    with pytest.raises(BadOption, match="on_timeout is 'wait'"):
        Task.async_stream(double, [], on_timeout="wait")  # type: ignore[call-overload]
