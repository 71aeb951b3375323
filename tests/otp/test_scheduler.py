"""The scheduler: turns in order, whatever they raise, and a loop that stays responsive."""

import asyncio
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial

import pytest

from headrace.clock import Clock
from headrace.otp.process.process import ProcessStatus
from headrace.otp.scheduler import (
    BLOCKED,
    HANDLED,
    HANDLED_MORE,
    IDLE,
    MORE,
    SLICE_SECONDS,
    SLOW_CALLBACK,
    SLOW_CALLBACK_SECONDS,
    UNMEASURED_TURNS,
    Scheduler,
    TurnTimes,
)
from headrace.pipeline.topology.topology import Topology
from headrace.telemetry.events import Telemetry
from tests.fakes.flow_stages import Collect, Numbers
from tests.fakes.processes import ANYTHING, INTERRUPTS, ManualClock, Oops, Probe, Script, hops, raising, raising_later
from tests.fakes.stepping import until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]

VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


class Player:
    """What turns belong to, if it is no process: each acts the same, and has the next outcome."""

    def __init__(self, scheduler: Scheduler, act: Callable[[], object], *outcomes: int) -> None:
        self.act = act
        self.outcomes = list(outcomes)
        self.held: list[float] = []
        self.turns = TurnTimes(self, self._turn)
        self.scheduler = scheduler

    def _turn(self) -> int:
        self.act()
        return self.outcomes.pop(0)

    def fail_turn(self, error: BaseException) -> None:
        raise error

    def report_slow_callback(self, seconds: float) -> None:
        self.held.append(seconds)


@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("step", [raising, raising_later])
async def test_a_turn_that_raises_anything_leaves_its_neighbours_running(
    error: BaseException, step: Callable[[BaseException], object]
) -> None:
    scheduler = Scheduler()
    interrupts: list[BaseException] = []
    scheduler.on_interrupt(interrupts.append)
    steps: list[int] = []
    broken = Script("broken", scheduler, partial(step, error), partial(steps.append, 0))
    sound = Script("sound", scheduler, *(partial(steps.append, step) for step in (1, 2, 3)), partial(asyncio.sleep, 0))
    broken.start()
    sound.start()
    assert await broken.terminated is error
    assert await sound.terminated == "normal"
    assert steps == [1, 2, 3]
    assert interrupts == ([error] if isinstance(error, INTERRUPTS) else [])


@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
async def test_a_turn_that_raises_anything_leaves_an_unrelated_pipeline_running(error: BaseException) -> None:
    topology = Topology()
    sink = Collect()
    topology.add("numbers", lambda: Numbers(5000))
    topology.add("sink", lambda: sink, subscribe_to="numbers")
    await topology.start()
    broken = Script("broken", Scheduler(), partial(raising, error))
    broken.start()
    assert await broken.terminated is error
    outcome = await topology.join()
    assert outcome.is_fine
    assert sink.events == list(range(1, 5001))


async def test_an_owner_that_cannot_take_its_error_does_not_end_the_scheduler(
    vanished: list[dict[str, object]],
) -> None:
    scheduler = Scheduler()
    error = Oops("x")
    sound = Script("sound", scheduler, lambda: None)
    scheduler.wake(Player(scheduler, partial(raising, error)).turns)
    sound.start()
    assert await sound.terminated == "normal"
    assert [context["exception"] for context in vanished] == [error]
    vanished.clear()


async def test_whoever_is_interrupted_and_raises_does_not_end_the_scheduler(vanished: list[dict[str, object]]) -> None:
    scheduler = Scheduler()
    error = Oops("cannot drain")
    scheduler.on_interrupt(lambda _: raising(error))
    broken = Script("broken", scheduler, partial(raising, KeyboardInterrupt()))
    sound = Script("sound", scheduler, lambda: None)
    broken.start()
    sound.start()
    assert await sound.terminated == "normal"
    assert [context["exception"] for context in vanished] == [error]
    vanished.clear()


async def test_processes_get_their_turns_in_the_order_in_which_they_became_ready() -> None:
    scheduler = Scheduler()
    order: list[str] = []
    first = Player(scheduler, partial(order.append, "first"), MORE, IDLE)
    second = Player(scheduler, partial(order.append, "second"), MORE, IDLE)
    for player in (first, second, first):
        scheduler.wake(player.turns)
    await hops()
    assert order == ["first", "second", "first", "second"]


async def test_a_process_that_is_woken_often_gets_one_turn() -> None:
    scheduler = Scheduler()
    turns: list[str] = []
    player = Player(scheduler, partial(turns.append, "turn"), IDLE, IDLE, IDLE)
    for _ in range(3):
        scheduler.wake(player.turns)
    await hops()
    assert turns == ["turn"]


async def _iterations_of_turns(scheduler: Scheduler, turn: Callable[[], object], count: int) -> list[int]:
    """Take turns of two players, and return in which iteration of the loop each was taken."""
    probe = Probe()
    seen: list[int] = []

    def act() -> None:
        turn()
        seen.append(probe.iterations)

    probe.start()
    for _ in range(2):
        scheduler.wake(Player(scheduler, act, *[HANDLED_MORE] * (count // 2 - 1), HANDLED).turns)
    await until(lambda: len(seen) == count)
    probe.stop()
    return seen


async def test_after_a_handler_of_5_ms_the_loop_gets_an_iteration() -> None:
    clock = ManualClock()
    seen = await _iterations_of_turns(Scheduler(clock=Clock(monotonic=clock)), partial(clock.advance, 0.005), 20)
    assert len(set(seen)) == 20


async def test_cheap_turns_give_the_loop_an_iteration_every_slice() -> None:
    clock = ManualClock()
    seen = await _iterations_of_turns(Scheduler(clock=Clock(monotonic=clock)), partial(clock.advance, 0.0003), 100)
    most = max(seen.count(iteration) for iteration in seen)
    assert SLICE_SECONDS <= most * 0.0003 < SLICE_SECONDS + 0.0003


async def test_without_a_clock_the_loop_gets_an_iteration_every_so_many_turns() -> None:
    scheduler = Scheduler(measure=False)
    seen = await _iterations_of_turns(scheduler, lambda: None, 2 * UNMEASURED_TURNS)
    assert seen[0] == seen[UNMEASURED_TURNS - 1] < seen[UNMEASURED_TURNS] == seen[-1]


async def test_a_turn_that_raises_leaves_a_scheduler_without_a_clock_running() -> None:
    scheduler = Scheduler(measure=False)
    broken = Script("broken", scheduler, partial(raising, Oops("x")))
    sound = Script("sound", scheduler, lambda: None)
    broken.start()
    sound.start()
    assert await sound.terminated == "normal"
    assert isinstance(await broken.terminated, Oops)


async def test_a_turn_that_holds_the_loop_is_told_to_its_owner() -> None:
    clock = ManualClock()
    scheduler = Scheduler(clock=Clock(monotonic=clock))
    durations = [SLOW_CALLBACK_SECONDS - 0.001, 0.06]
    player = Player(scheduler, lambda: clock.advance(durations.pop(0)), IDLE, IDLE)
    for _ in range(2):
        scheduler.wake(player.turns)
        await hops()
    assert player.held == [pytest.approx(0.06)]


async def test_every_slow_callback_is_emitted_and_the_first_of_each_process_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, telemetry = ManualClock(), Telemetry()
    found: list[object] = []
    telemetry.attach("test", SLOW_CALLBACK, lambda _, numbers, about: found.append((about["process"], numbers)))
    scheduler = Scheduler(clock=Clock(monotonic=clock), telemetry=telemetry)
    slow = Script("slow", scheduler, *[partial(clock.advance, 0.06)] * 2)
    slow.start()
    assert await slow.terminated == "normal"
    assert found == [("slow", {"duration_seconds": pytest.approx(0.06)})] * 2
    assert caplog.text.count("'slow' held the event loop for 60 ms") == 1


async def test_time_is_when_the_turn_began_and_outside_of_turns_what_the_clock_says() -> None:
    clock = ManualClock()
    scheduler = Scheduler(clock=Clock(monotonic=clock))
    times: list[float] = []

    def act() -> None:
        clock.advance(1.0)
        times.append(scheduler.time())

    clock.advance(1.0)
    scheduler.wake(Player(scheduler, act, IDLE).turns)
    await hops()
    clock.advance(5.0)
    assert times == [101.0]
    assert scheduler.time() == 107.0


async def test_turns_count_batches_by_their_duration_and_sum_up_what_they_took() -> None:
    clock = ManualClock()
    scheduler = Scheduler(clock=Clock(monotonic=clock))
    durations = [0.000005, 0.003, 0.5, 70.0]
    turns = Player(scheduler, lambda: clock.advance(durations.pop(0)), HANDLED_MORE, HANDLED_MORE, MORE, HANDLED).turns
    scheduler.wake(turns)
    await until(lambda: not turns.is_ready)
    turns.handled(0.003)
    turns.worked(0.001)
    assert turns.counts() == (1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert turns.handled_seconds == pytest.approx(70.006005)
    assert turns.busy_seconds() == pytest.approx(70.504005)  # what the async batch waited is not work


async def test_a_process_is_blocked_from_one_turn_to_the_next_less_what_its_turns_took() -> None:
    clock = ManualClock()
    scheduler = Scheduler(clock=Clock(monotonic=clock))
    turns = Player(scheduler, partial(clock.advance, 0.001), BLOCKED, BLOCKED, IDLE, BLOCKED).turns

    async def turn_after(seconds: float) -> None:
        clock.advance(seconds)
        scheduler.wake(turns)
        await until(lambda: not turns.is_ready)

    await turn_after(7.0)
    assert turns.blocked_seconds(clock()) == 0.0
    await turn_after(1.0)
    assert turns.blocked_seconds(clock()) == pytest.approx(1.0)
    await turn_after(2.0)
    await turn_after(5.0)
    assert turns.blocked_seconds(clock()) == pytest.approx(3.0)
    clock.advance(1.0)
    assert turns.blocked_seconds(clock()) == pytest.approx(4.0)


async def test_turns_run_in_no_context_of_whoever_woke_them() -> None:
    scheduler = Scheduler()
    seen: list[str] = []
    player = Player(scheduler, lambda: seen.append(VARIABLE.get()), MORE, IDLE)
    token = VARIABLE.set("the waker's")
    scheduler.wake(player.turns)
    await hops()
    VARIABLE.reset(token)
    assert seen == ["unset", "unset"]


if sys.version_info >= (3, 12):  # older loops have no eager tasks

    async def test_a_loop_with_eager_tasks_runs_async_callbacks_all_the_same() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        process = Script("eager", Scheduler(), partial(asyncio.sleep, 0))
        process.start()
        assert await process.terminated == "normal"
        assert process.state is ProcessStatus.ENDED
