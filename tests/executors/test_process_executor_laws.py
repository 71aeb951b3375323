"""The laws of a ProcessExecutor, on random calls: each ends once and as it should, and nothing is left behind."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.executors.call import Raised, Returned
from headrace.executors.errors import CallStopped, NotReachable, RemoteError, Unpicklable, WorkerDied
from headrace.executors.process_executor import ProcessExecutor
from tests.fakes import outside
from tests.fakes.os_processes import children, descriptors

Kind = Literal["add", "add later", "sell", "leave", "die", "heavy", "unwelcome", "unpicklable", "hang"]
KINDS: tuple[Kind, ...] = ("add", "add later", "sell", "leave", "die", "heavy", "unwelcome", "unpicklable", "hang")


@dataclass(frozen=True)
class Plan:
    """One call, and after how many turns of the loop its caller is cancelled; one that hangs always is."""

    kind: Kind
    cancelled_after: int | None


PLANS = st.lists(st.builds(Plan, st.sampled_from(KINDS), st.none() | st.integers(0, 60)), min_size=1, max_size=8)

CALLS: dict[Kind, tuple[Callable[..., object], tuple[object, ...], object]] = {
    "add": (outside.add, (1, 2), 3),
    "add later": (outside.add_later, (1, 2), 3),
    "sell": (outside.sell, ("rope",), outside.Sold),
    "leave": (outside.leave, (), RemoteError),
    "die": (outside.exit_at_once, (7,), WorkerDied),
    "heavy": (outside.echo, (outside.Heavy(),), Unpicklable),
    "unwelcome": (outside.echo, (outside.Unwelcome(),), NotReachable),
    "unpicklable": (outside.unpicklable, (), Unpicklable),
    "hang": (outside.hang, (), asyncio.CancelledError),
}
"""The function, its arguments, and its result or the class of what it raises."""


async def outcome(executor: ProcessExecutor, plan: Plan) -> object:
    """Make a call and return its result, or the class of what it raised."""
    function, args, _ = CALLS[plan.kind]
    task = asyncio.ensure_future(executor.run(function, *args))
    turns = plan.cancelled_after if plan.cancelled_after is not None or plan.kind != "hang" else 0
    if turns is not None:
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
    try:
        return await task
    except BaseException as error:  # noqa: BLE001 - it is what is asked for
        return type(error)


async def _story(limit: int, plans: list[Plan]) -> None:
    async with ProcessExecutor(limit) as executor:
        outcomes = await asyncio.gather(*(outcome(executor, plan) for plan in plans))
        for plan, got in zip(plans, outcomes, strict=True):
            was_cancelled = plan.cancelled_after is not None and got is asyncio.CancelledError
            assert was_cancelled or got == CALLS[plan.kind][2], plan
        assert not executor.left
        assert executor.statistics().busy == executor.statistics().waiting == 0
        assert executor.statistics().alive <= limit
        calls = [await executor.start(outside.hang) for _ in range(limit)]
        assert executor.statistics().busy == limit
        for call in calls:
            call.stop()
        assert {type(await call.ended()) for call in calls} == {Raised}
        assert await executor.run(outside.add, 1, 2) == 3
    assert executor.statistics().alive == 0


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 3), plans=PLANS)
@pytest.mark.usefixtures("reachable")
def test_every_call_ends_once_and_as_it_should_and_nothing_is_left(limit: int, plans: list[Plan]) -> None:
    before = descriptors()
    asyncio.run(_story(limit, plans))
    assert children() == set()
    assert descriptors() == before


@pytest.mark.asyncio
@pytest.mark.usefixtures("reachable")
async def test_a_call_is_told_how_it_ended_once_and_to_all_who_ask() -> None:
    async with ProcessExecutor(1) as executor:
        call = await executor.start(outside.add, 1, 2)
        assert tuple(await asyncio.gather(call.result(), call.result(), call.ended())) == (3, 3, Returned(3))
        call.set_outcome(Raised(CallStopped(call.name)))
        assert call.stop()
        assert call.outcome == Returned(3)
        assert await executor.run(outside.add, 1, 2) == 3
