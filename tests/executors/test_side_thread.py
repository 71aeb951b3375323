"""Calls that block are made beside the loop, one after another."""

import asyncio
import threading
from functools import partial

import pytest

from headrace.executors.thread_executor import WorkerThread


@pytest.mark.asyncio
async def test_calls_are_made_in_order_in_one_thread_that_is_not_the_loops() -> None:
    thread = WorkerThread("side")
    thread.start()
    made: list[int] = []

    def make(number: int) -> threading.Thread:
        made.append(number)
        return threading.current_thread()

    calls = [thread.call(partial(make, number)) for number in range(9)]
    (one,) = {await call for call in calls}
    thread.close()
    assert made == list(range(9))
    assert one is not threading.current_thread()
    assert one.daemon


@pytest.mark.asyncio
async def test_what_a_call_raises_is_raised_where_it_is_awaited() -> None:
    thread = WorkerThread("side")
    thread.start()
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 // 0)
    assert await thread.call(lambda: 1) == 1
    thread.close()


@pytest.mark.asyncio
async def test_a_call_that_never_returns_holds_up_nobody() -> None:
    thread = WorkerThread("side")
    thread.start()
    may_end, closed = threading.Event(), threading.Event()
    stuck = thread.call(may_end.wait)
    stuck.cancel()
    thread.close(closed.set)
    assert not closed.is_set()
    may_end.set()
    closed.wait()


def test_a_call_may_end_after_its_loop() -> None:
    may_end, closed = threading.Event(), threading.Event()

    async def leave() -> None:
        thread = WorkerThread("side")
        thread.start()
        thread.call(may_end.wait)
        thread.close(closed.set)

    asyncio.run(leave())
    may_end.set()
    assert closed.wait(30)


@pytest.mark.asyncio
async def test_an_error_that_nobody_waits_for_is_not_reported() -> None:
    reports: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    thread = WorkerThread("side")
    thread.start()
    thread.call(lambda: 1 // 0)
    await thread.call(lambda: 1)
    thread.close()
    assert reports == []
