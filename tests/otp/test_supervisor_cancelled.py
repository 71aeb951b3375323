"""Whoever is cancelled while waiting for a supervisor: no orphan is left, and the supervisor is as it says."""

from collections.abc import Callable, Coroutine

import pytest

from headrace.otp.process.process import ProcessStatus
from headrace.otp.scheduler import Scheduler
from headrace.otp.supervision.supervisor import Supervisor
from tests.fakes.cancelling import HOWS, How, at_every_step, cancelled_at
from tests.fakes.families import Family, Member
from tests.fakes.stepping import rest

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished"), pytest.mark.parametrize("how", HOWS)]

Attempt = Callable[[Supervisor, Family], Coroutine[object, object, object]]


def alive(family: Family) -> list[str]:
    """Return who has started and not ended."""
    names = dict.fromkeys(entry[1:] for entry in family.log)
    return [name for name in names if family.log.count(f"+{name}") > family.log.count(f"-{name}")]


def running(supervisor: Supervisor) -> list[str]:
    """Return the names of the workers that run in a tree."""
    names = []
    for child in supervisor.table.entries.values():
        if isinstance(child.process, Supervisor):
            names += running(child.process)
        elif child.process.state is ProcessStatus.RUNNING:
            names.append(child.process.name)
    return names


async def each_step(attempt: Attempt, how: How, after: Callable[[Supervisor, Family, bool], None]) -> int:
    """Cancel `attempt` at each of its suspensions, with children a and b; look `after` each."""

    async def one(step: int) -> bool:
        family = Family()
        family.hops = 2
        async with Supervisor("supervisor", Scheduler(), children=family.specs("ab")) as supervisor:
            was_cancelled = await cancelled_at(attempt(supervisor, family), step, how)
            after(supervisor, family, was_cancelled)
            await rest(supervisor.scheduler)
            assert sorted(alive(family)) == sorted(running(supervisor))
        assert alive(family) == []
        assert supervisor.state is ProcessStatus.ENDED
        return was_cancelled

    return await at_every_step(one)


async def test_a_start_that_is_cancelled_leaves_no_child(how: How) -> None:
    def after(supervisor: Supervisor, family: Family, was_cancelled: bool) -> None:  # noqa: FBT001 - a fact, no flag
        assert ("c" in supervisor.table.entries) is not was_cancelled

    assert await each_step(lambda supervisor, family: supervisor.start_child(family.spec("c")), how, after) == 1


async def test_a_start_of_a_supervisor_that_is_cancelled_leaves_no_branch(how: How) -> None:
    def after(supervisor: Supervisor, family: Family, was_cancelled: bool) -> None:  # noqa: FBT001 - a fact, no flag
        assert ("inner" in supervisor.table.entries) is not was_cancelled
        assert not was_cancelled or alive(family) == ["a", "b"]

    async def start(supervisor: Supervisor, family: Family) -> None:
        await supervisor.start_supervisor("inner", children=family.specs("cd"))

    assert await each_step(start, how, after) == 1


async def test_a_child_is_terminated_whether_or_not_anybody_waits(how: How) -> None:
    def after(supervisor: Supervisor, family: Family, was_cancelled: bool) -> None:  # noqa: FBT001 - a fact, no flag
        assert supervisor.table.entries["b"].process.no_restart
        assert was_cancelled or not supervisor.which_children()[1].ref

    assert await each_step(lambda supervisor, _: supervisor.terminate_child("b"), how, after) == 1


async def test_a_restart_by_hand_that_is_cancelled_keeps_the_spec_and_no_child(how: How) -> None:
    def after(supervisor: Supervisor, family: Family, was_cancelled: bool) -> None:  # noqa: FBT001 - a fact, no flag
        states = ("stopping", "ended") if was_cancelled else ("running",)
        assert supervisor.which_children()[0].state in states

    async def restart(supervisor: Supervisor, _: Family) -> None:
        await supervisor.terminate_child("a")
        await supervisor.restart_child("a")

    assert await each_step(restart, how, after) == 2


async def test_a_block_that_is_cancelled_on_its_way_in_or_out_leaves_nothing(how: How) -> None:
    async def attempt(step: int) -> bool:
        family = Family()
        family.hops = 2
        supervisor = Supervisor("supervisor", Scheduler(), children=family.specs("abc"))

        async def block() -> None:
            async with supervisor:
                await supervisor.whereis("a", Member).call(lambda member: member.name)

        was_cancelled = await cancelled_at(block(), step, how)
        assert supervisor.state is ProcessStatus.ENDED
        assert alive(family) == []
        return was_cancelled

    assert await at_every_step(attempt) == 3
