"""ProcessExecutor: functions in other OS processes, which may die, hang or misbehave and harm no neighbour."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from headrace.executors.call import Raised
from headrace.executors.errors import (
    BadFunction,
    CallOverdue,
    CallStopped,
    ExecutorClosed,
    NotReachable,
    RemoteError,
    ResultTooLarge,
    Unpicklable,
    WorkerDied,
    WorkerNotStarted,
)
from headrace.executors.process_executor import ProcessExecutor
from headrace.executors.protocol import RemoteTraceback, unpacked_error
from headrace.executors.worker_main import run_each
from headrace.executors.worker_process import WorkerSettings
from tests.fakes import outside
from tests.fakes.os_processes import children, descriptors, is_gone

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("reachable")]

PATIENT = WorkerSettings(grace_seconds=60.0, max_result_bytes=100_000)
HASTY = WorkerSettings(grace_seconds=0.0)


@pytest_asyncio.fixture(autouse=True)
async def _nothing_left() -> AsyncIterator[None]:
    """Assert that a test leaves no OS process and no file descriptor behind."""
    await asyncio.to_thread(int)  # the loop's own threads and pipes are there from the start
    before = descriptors()
    yield
    assert children() == set()
    assert descriptors() == before


@pytest_asyncio.fixture
async def executor() -> AsyncIterator[ProcessExecutor]:
    async with ProcessExecutor(1, PATIENT) as executor:
        yield executor


async def begun(fifo: Path) -> int:
    """Wait until a function says that it runs, and return where."""
    return int(await asyncio.to_thread(fifo.read_text))


async def each(
    executor: ProcessExecutor, function: Callable[[Any], object], events: list[object]
) -> list[tuple[object, Exception | None]]:
    """Run a function on several events by one call."""
    made = await executor.run(run_each, function, events)
    return [(output, None if error is None else unpacked_error("each", error)) for output, error in made]


async def test_a_function_runs_in_another_os_process_and_returns_its_result(executor: ProcessExecutor) -> None:
    assert await executor.run(outside.pid) in children()
    assert await executor.run(outside.add, 1, right=2) == 3


async def test_a_function_may_be_named_by_its_module(executor: ProcessExecutor) -> None:
    assert await executor.run("tests.fakes.outside:add", 1, 2) == 3
    assert await executor.run("os:path.join", "a", "b") == "a/b"


async def test_an_async_function_runs_in_a_loop_of_its_own(executor: ProcessExecutor) -> None:
    assert await executor.run(outside.add_later, 1, 2) == 3
    with pytest.raises(outside.Sold):
        await executor.run(outside.sell_later, "rope")


async def test_an_os_process_is_started_when_it_is_needed_and_kept(executor: ProcessExecutor) -> None:
    assert children() == set()
    assert await executor.run(outside.pid) == await executor.run(outside.pid)
    assert executor.statistics().started == 1


async def test_a_function_s_os_process_imports_nothing_that_it_does_not_need(executor: ProcessExecutor) -> None:
    loaded = await executor.run(outside.modules)
    assert not [name for name in loaded if name.partition(".")[0] in {"headrace", "multiprocessing", "pytest"}]


async def test_several_events_by_one_call_import_nothing_either(executor: ProcessExecutor) -> None:
    ((loaded, error),) = await each(executor, eval, ["sorted(__import__('sys').modules)"])
    assert error is None
    assert isinstance(loaded, list)
    heavy = {"headrace", "asyncio", "inspect", "traceback", "dataclasses"}
    assert not [name for name in loaded if name.partition(".")[0] in heavy]


async def test_of_several_events_each_has_its_own_end(executor: ProcessExecutor) -> None:
    made = await each(executor, outside.halved_later, [4, "rope", 0, 6])
    assert [output for output, _ in made] == [2, None, None, 3]
    assert [type(error) for _, error in made] == [type(None), outside.Sold, RemoteError, type(None)]
    assert "raised Awkward: 3 of rope" in str(made[2][1])
    assert await each(executor, outside.is_loop_of_before, [1, 2]) == [(True, None), (True, None)]
    assert await each(executor, len, []) == []


async def test_what_a_function_raises_is_raised_as_it_is_with_the_traceback_from_there(
    executor: ProcessExecutor,
) -> None:
    with pytest.raises(outside.Sold, match="rope") as caught:
        await executor.run(outside.sell, "rope")
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "in sell" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("function", "class_name"),
    [
        (outside.sell_awkwardly, "Awkward"),
        (outside.sell_unspeakably, "Unspeakable"),
        (outside.leave, "SystemExit"),
        (outside.cancel, "CancelledError"),
    ],
)
async def test_what_cannot_be_raised_here_is_a_remote_error_with_its_name_and_traceback(
    executor: ProcessExecutor, function: Callable[[], object], class_name: str
) -> None:
    with pytest.raises(RemoteError, match=class_name) as caught:
        await executor.run(function)
    assert caught.value.class_name == class_name
    assert f"in {function.__name__}" in caught.value.traceback_text
    assert await executor.run(outside.add, 1, 2) == 3
    assert executor.statistics().started == 1


@pytest.mark.parametrize(
    ("function", "argument", "said"),
    [
        (outside.echo, outside.Heavy(), "too heavy to be carried"),
        (lambda value: value, 1, "function or an argument"),
        (outside.echo, outside.Unwelcome(), "not a number"),
        ("tests.fakes.outside:nothing", 1, "nothing"),
        ("tests.fakes.nowhere:add", 1, "No module named 'tests.fakes.nowhere'"),
    ],
)
async def test_a_call_that_cannot_cross_fails_alone_and_says_why(
    executor: ProcessExecutor, function: Callable[[object], object], argument: object, said: str
) -> None:
    with pytest.raises((Unpicklable, NotReachable), match=said):
        await executor.run(function, argument)
    assert await executor.run(outside.add, 1, 2) == 3


@pytest.mark.parametrize("function", [outside.unpicklable, outside.unwelcome])
async def test_a_result_that_cannot_cross_fails_that_call_alone(
    executor: ProcessExecutor, function: Callable[[], object]
) -> None:
    with pytest.raises(Unpicklable, match="the result of"):
        await executor.run(function)
    assert await executor.run(outside.add, 1, 2) == 3


async def test_a_name_that_names_no_function_is_refused(executor: ProcessExecutor) -> None:
    with pytest.raises(BadFunction, match="module:function"):
        await executor.run("shop.price")


async def test_a_result_may_be_as_large_as_allowed_and_no_larger(executor: ProcessExecutor) -> None:
    assert await executor.run(bytes, 90_000) == bytes(90_000)
    with pytest.raises(ResultTooLarge) as caught:
        await executor.run(bytes, 110_000)
    assert caught.value.size_bytes > caught.value.limit_bytes == 100_000


async def test_megabytes_cross_both_ways_while_the_loop_turns() -> None:
    value = os.urandom(8_000_000)
    async with ProcessExecutor(2) as executor:
        first, second = await asyncio.gather(executor.run(outside.echo, value), executor.run(outside.echo, value))
        assert first == second == value


@pytest.mark.parametrize(
    ("function", "args", "exit_code"),
    [(outside.exit_at_once, (7,), 7), (outside.exit_at_once, (0,), 0), (outside.kill_itself, (), -signal.SIGKILL)],
)
async def test_a_death_fails_the_call_in_hand_and_is_made_good(
    executor: ProcessExecutor, function: Callable[..., object], args: tuple[object, ...], exit_code: int
) -> None:
    with pytest.raises(WorkerDied, match=f"ran 'tests.fakes.outside:{function.__name__}'") as caught:
        await executor.run(function, *args)
    assert caught.value.exit_code == exit_code
    assert await executor.run(outside.add, 1, 2) == 3
    statistics = executor.statistics()
    assert (statistics.deaths, statistics.restarts, statistics.alive) == (1, 1, 1)


async def test_a_death_harms_no_neighbour(fifo: Path) -> None:
    async with ProcessExecutor(2, PATIENT) as executor:
        neighbour = await executor.start(outside.hang, fifo)
        where = await begun(fifo)
        with pytest.raises(WorkerDied):
            await executor.run(outside.kill_itself)
        assert neighbour.outcome is None
        assert where in children()
        neighbour.stop()
        with pytest.raises(CallStopped):
            await neighbour.result()


async def test_an_os_process_that_dies_idle_fails_no_call(executor: ProcessExecutor) -> None:
    where = await executor.run(outside.pid)
    os.kill(where, signal.SIGKILL)
    await is_gone(where)
    assert await executor.run(outside.pid) != where
    assert executor.statistics().restarts == 1


async def test_a_function_that_closes_its_pipe_fails_like_one_that_died(fifo: Path) -> None:
    async with ProcessExecutor(1, HASTY) as executor:
        call = await executor.start(outside.deaf, fifo)
        await begun(fifo)
        with pytest.raises(WorkerDied):
            await call.result()


async def test_ctrl_c_is_not_for_the_functions(executor: ProcessExecutor) -> None:
    assert await executor.run(outside.interrupt_itself) == "still here"
    assert os.getpgid(await executor.run(outside.pid)) != os.getpgid(0)


async def test_a_signal_to_end_that_the_executor_did_not_send_ends_nothing(
    executor: ProcessExecutor, fifo: Path
) -> None:
    call = await executor.start(outside.outlive_sigterm, fifo)
    os.kill(await begun(fifo), signal.SIGTERM)
    assert await call.result() == "it was let through"


@pytest.mark.parametrize("function", [outside.hang_and_clean, outside.hang_later])
async def test_a_cancelled_function_cleans_up_and_is_gone_before_its_caller_goes_on(
    executor: ProcessExecutor, fifo: Path, function: Callable[[Path], object]
) -> None:
    waiter = asyncio.ensure_future(executor.run(function, fifo))
    where = await begun(fifo)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert where not in children()
    assert fifo.with_suffix(".cleaned").exists()
    assert await executor.run(outside.add, 1, 2) == 3
    assert (executor.statistics().stopped, executor.statistics().deaths) == (1, 0)


async def test_what_does_not_end_within_its_grace_is_killed(fifo: Path) -> None:
    async with ProcessExecutor(1, HASTY) as executor:
        call = await executor.start(outside.hang_stubbornly, fifo)
        await begun(fifo)
        assert call.stop() is True
        with pytest.raises(CallStopped):
            await call.result()


async def test_whoever_cancels_twice_waits_for_no_grace(executor: ProcessExecutor, fifo: Path) -> None:
    waiter = asyncio.ensure_future(executor.run(outside.hang_stubbornly, fifo))
    where = await begun(fifo)
    waiter.cancel()
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await is_gone(where)
    assert await executor.run(outside.add, 1, 2) == 3


async def test_whoever_stops_twice_takes_no_grace_away(executor: ProcessExecutor, fifo: Path) -> None:
    call = await executor.start(outside.hang_and_clean, fifo)
    await begun(fifo)
    call.stop()
    call.stop()
    assert isinstance(await call.ended(), Raised)
    assert fifo.with_suffix(".cleaned").exists()


async def test_what_is_stopped_at_once_has_no_grace(executor: ProcessExecutor, fifo: Path) -> None:
    call = await executor.start(outside.hang_stubbornly, fifo)
    await begun(fifo)
    call.stop()
    call.stop(at_once=True)
    with pytest.raises(CallStopped):
        await call.result()


async def test_a_result_that_was_there_before_the_end_is_not_lost(executor: ProcessExecutor, fifo: Path) -> None:
    call = await executor.start(outside.swallow, fifo)
    where = await begun(fifo)
    call.stop()
    assert await call.result() == "swallowed"
    await is_gone(where)
    assert await executor.run(outside.pid) != where


async def test_a_function_out_of_time_has_ended_when_that_is_said(executor: ProcessExecutor, fifo: Path) -> None:
    call = await executor.start(outside.hang, fifo)
    where = await begun(fifo)
    with pytest.raises(CallOverdue, match="did not return within 0 s"):
        await call.finish(0.0)
    assert where not in children()
    with pytest.raises(TimeoutError):
        await executor.within(0.0).run(outside.hang)
    assert await executor.within(60.0).run(outside.add, 1, 2) == 3


async def test_asyncio_s_own_timeout_ends_a_function_too(executor: ProcessExecutor) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.0):
            await executor.run(outside.hang)
    assert await executor.run(outside.add, 1, 2) == 3


async def test_closing_ends_what_runs_and_what_waits(fifo: Path) -> None:
    executor = ProcessExecutor(1, PATIENT)
    call = await executor.start(outside.hang, fifo)
    waiter = asyncio.ensure_future(executor.run(outside.add, 1, 2))
    await begun(fifo)
    await executor.aclose()
    with pytest.raises(CallStopped):
        await call.result()
    with pytest.raises(ExecutorClosed):
        await waiter
    with pytest.raises(ExecutorClosed):
        await executor.run(outside.add, 1, 2)
    await executor.aclose()


async def test_closing_may_wait_for_what_runs() -> None:
    executor = ProcessExecutor(1, PATIENT)
    call = await executor.start(outside.add, 1, 2)
    await executor.aclose(timeout_seconds=None)
    assert await call.result() == 3


async def test_closing_that_is_cancelled_kills_at_once(fifo: Path) -> None:
    executor = ProcessExecutor(1, PATIENT)
    call = await executor.start(outside.hang_stubbornly, fifo)
    await begun(fifo)
    closing = asyncio.ensure_future(executor.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(CallStopped):
        await call.result()


async def test_what_is_idle_for_too_long_is_ended() -> None:
    async with ProcessExecutor(1, WorkerSettings(idle_seconds=0.0)) as executor:
        first = await executor.run(outside.pid)
        await is_gone(first)
        assert await executor.run(outside.pid) != first
        assert executor.statistics().deaths == 0


async def test_fewer_os_processes_live_after_a_resize(fifo: Path) -> None:
    async with ProcessExecutor(2, PATIENT) as executor:
        call = await executor.start(outside.hang, fifo)
        await begun(fifo)
        idle = await executor.run(outside.pid)
        executor.resize(1)
        await is_gone(idle)
        call.stop()
        await call.ended()
        assert await executor.run(outside.add, 1, 2) == 3


async def test_modules_that_cannot_be_imported_fail_calls_with_their_name() -> None:
    async with ProcessExecutor(1, WorkerSettings(imports=("json", "nowhere_at_all"))) as executor:
        for _ in range(2):
            with pytest.raises(WorkerNotStarted, match="nowhere_at_all cannot be imported"):
                await executor.run(outside.add, 1, 2)
        assert executor.statistics().busy == 0


async def test_modules_are_imported_before_the_first_call() -> None:
    async with ProcessExecutor(1, WorkerSettings(imports=("wave",))) as executor:
        assert "wave" in await executor.run(outside.modules)


async def test_python_that_cannot_be_started_fails_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    async with ProcessExecutor(1) as executor:
        with pytest.raises(WorkerNotStarted, match="/nowhere/python"):
            await executor.run(outside.add, 1, 2)
