"""ThreadExecutor: bounded threads, in the caller's context, that nobody can end but that nobody loses either."""

import asyncio
import contextvars
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from headrace.executors.call import Raised, Returned
from headrace.executors.errors import BadFunction, BadPoolSize, CallOverdue, ExecutorClosed, RemoteError
from headrace.executors.thread_executor import ThreadExecutor
from tests.fakes import outside

pytestmark = pytest.mark.asyncio

WHO = contextvars.ContextVar("WHO", default="nobody")


class Gate:
    """A function that returns when it is let, and counts how many are inside of it."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)
        self.inside = 0
        self.most_inside = 0
        self.lock = threading.Lock()

    def __call__(self, result: object = None) -> object:
        with self.lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.entered.release()
        self.opened.wait()
        with self.lock:
            self.inside -= 1
        if isinstance(result, BaseException):
            raise result
        return result

    async def is_entered(self, times: int = 1) -> None:
        """Wait, in a thread that is not the executor's, until so many calls are inside."""
        for _ in range(times):
            await asyncio.to_thread(self.entered.acquire)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


async def test_a_function_runs_in_another_thread_and_returns_its_result() -> None:
    async with ThreadExecutor(1) as executor:
        assert await executor.run(threading.current_thread) is not threading.current_thread()
        assert await executor.run(divmod, 7, 2) == (3, 1)


async def test_a_function_sees_its_caller_s_context_and_changes_a_copy_of_it() -> None:
    def swap() -> str:
        before = WHO.get()
        WHO.set("the thread")
        return before

    async with ThreadExecutor(1) as executor:
        WHO.set("the caller")
        assert await executor.run(swap) == "the caller"
        assert await executor.run(swap) == "the caller"
        assert WHO.get() == "the caller"


async def test_at_most_as_many_run_as_allowed_and_every_one_ends(gate: Gate) -> None:
    async with ThreadExecutor(2) as executor, asyncio.TaskGroup() as group:
        tasks = [group.create_task(executor.run(gate, number)) for number in range(7)]
        await gate.is_entered(2)
        assert (executor.statistics().busy, executor.statistics().waiting) == (2, 5)
        gate.opened.set()
        assert [await task for task in tasks] == list(range(7))
        assert gate.most_inside == 2
        assert executor.statistics().returned == 7
        assert executor.statistics().alive == 2


async def test_what_a_function_raises_is_raised_as_it_is() -> None:
    prices: dict[str, int] = {}
    async with ThreadExecutor(1) as executor:
        with pytest.raises(KeyError) as caught:
            await executor.run(prices.__getitem__, "total")
        assert caught.value.args == ("total",)
        assert executor.statistics().raised == 1


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_what_would_end_more_than_the_call_is_a_remote_error(gate: Gate, error: BaseException) -> None:
    gate.opened.set()
    async with ThreadExecutor(1) as executor:
        with pytest.raises(RemoteError, match=type(error).__name__):
            await executor.run(gate, error)
        assert await executor.run(gate, 1) == 1


async def test_a_function_that_exits_is_named_with_its_place() -> None:
    async with ThreadExecutor(1) as executor:
        with pytest.raises(
            RemoteError, match=r"SystemExit: 3 \(.*outside\.py, line \d+\), which cannot be raised here"
        ):
            await executor.run(outside.leave)


async def test_a_cancelled_call_keeps_its_slot_until_its_function_returns(gate: Gate) -> None:
    async with ThreadExecutor(1) as executor:
        call = await executor.start(gate, "late")
        waiter = asyncio.ensure_future(call.finish(None))
        await gate.is_entered()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert executor.left == (call,)
        second = asyncio.ensure_future(executor.run(divmod, 1, 1))
        await asyncio.sleep(0)
        assert executor.statistics().waiting == 1
        gate.opened.set()
        assert await call.ended() == Returned("late")
        assert await second == (1, 0)
        assert not executor.left


async def test_a_call_that_is_cancelled_while_it_waits_never_begins(gate: Gate) -> None:
    begun: list[int] = []
    async with ThreadExecutor(1) as executor:
        first = await executor.start(gate)
        waiter = asyncio.ensure_future(executor.run(begun.append, 1))
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        gate.opened.set()
        await first.result()
        assert await executor.run(divmod, 1, 1) == (1, 0)
        assert begun == []


async def test_a_call_out_of_time_says_so_and_goes_on(gate: Gate) -> None:
    async with ThreadExecutor(1) as executor:
        with pytest.raises(CallOverdue, match=r"did not return within 0 s: give it longer"):
            await executor.within(0.0).run(gate, "late")
        (call,) = executor.left
        assert call.stop() is False
        gate.opened.set()
        assert await call.result() == "late"


async def test_an_error_that_nobody_waits_for_is_logged_and_kept(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("lost?")
    async with ThreadExecutor(1) as executor:
        call = await executor.start(gate, error)
        with pytest.raises(CallOverdue):
            await call.finish(0.0)
        gate.opened.set()
        with caplog.at_level(logging.WARNING, "headrace"):
            assert await call.ended() == Raised(error)
        assert "lost?" in caplog.text


async def test_closing_waits_as_long_as_it_is_told_and_leaves_the_rest(gate: Gate) -> None:
    executor = ThreadExecutor(1)
    call = await executor.start(gate, 1)
    waiter = asyncio.ensure_future(executor.run(gate, 2))
    await gate.is_entered()
    await executor.aclose()
    with pytest.raises(ExecutorClosed):
        await waiter
    with pytest.raises(ExecutorClosed):
        await executor.run(gate, 3)
    assert executor.left == (call,)
    gate.opened.set()
    await executor.aclose(timeout_seconds=None)
    assert call.outcome == Returned(1)
    assert executor.statistics().alive == 0


async def test_no_thread_is_left_after_closing(gate: Gate) -> None:
    gate.opened.set()
    executor = ThreadExecutor(3, name="passing")
    await asyncio.gather(*(executor.run(gate, number) for number in range(9)))
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("passing")]
    assert 1 <= len(threads) <= 3
    await executor.aclose()
    for thread in threads:
        await asyncio.to_thread(thread.join)


async def test_more_run_at_a_time_after_a_resize_and_fewer_after_another(gate: Gate) -> None:
    async with ThreadExecutor(1) as executor:
        calls = [asyncio.ensure_future(executor.run(gate, number)) for number in range(3)]
        await gate.is_entered()
        executor.resize(3)
        await gate.is_entered(2)
        assert executor.statistics().busy == 3
        executor.resize(1)
        gate.opened.set()
        assert await asyncio.gather(*calls) == [0, 1, 2]
        assert executor.statistics().alive == 1


async def blocks_nobody() -> None:
    """Return at once."""


@pytest.mark.parametrize(("function", "said"), [(blocks_nobody, "async def"), ("json:loads", "is a text")])
async def test_what_cannot_run_in_a_thread_is_refused_and_costs_no_slot(
    function: Callable[[], object] | str, said: str
) -> None:
    async with ThreadExecutor(1) as executor:
        with pytest.raises(BadFunction, match=said):
            await executor.run(function)
        assert await executor.run(divmod, 1, 1) == (1, 0)


async def test_an_executor_that_could_run_nothing_is_refused() -> None:
    with pytest.raises(BadPoolSize):
        ThreadExecutor(0)
    executor = ThreadExecutor(1)
    with pytest.raises(BadPoolSize):
        executor.resize(0)


async def test_a_thread_that_hangs_does_not_hold_up_the_end_of_the_os_process() -> None:
    program = (
        "import asyncio, threading\n"
        "from headrace.executors.thread_executor import ThreadExecutor\n"
        "async def main():\n"
        "    async with ThreadExecutor(1) as executor:\n"
        "        await executor.start(threading.Event().wait)\n"
        "asyncio.run(main())\n"
        "print('over')\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.stdout, done.stderr, done.returncode) == ("over\n", "", 0)
