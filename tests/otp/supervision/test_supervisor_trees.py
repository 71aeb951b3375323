"""Supervisors under supervisors: one that gives up is a crash to the one above."""

from functools import partial

import pytest

from headrace.errors import NoProcess, RestartsExhausted, StartFailed
from headrace.otp.process.process import ProcessStatus
from headrace.otp.supervision.child_spec import ChildSpec
from headrace.otp.supervision.restart import Strategy
from headrace.otp.supervision.supervisor import Supervisor
from tests.fakes.families import Family, crash
from tests.fakes.processes import Oops, supervising
from tests.fakes.stepping import rest, until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


def nested(family: Family, name: str, children: str, max_restarts: int = 0) -> ChildSpec[Supervisor]:
    """Return the spec of a supervisor over members of a family."""
    return ChildSpec(partial(Supervisor, children=family.specs(children), max_restarts=max_restarts), name)


def supervisor_in(supervisor: Supervisor, name: str) -> Supervisor:
    child = supervisor.table.entries[name].process
    assert isinstance(child, Supervisor)
    return child


async def test_a_tree_starts_in_order_and_stops_in_reverse() -> None:
    family = Family()
    specs = (family.spec("a"), nested(family, "inner", "bc"), family.spec("d"))
    async with Supervisor("outer", children=specs):
        assert family.taken() == ["+a", "+b", "+c", "+d"]
    assert family.taken() == ["-d", "-c", "-b", "-a"]


async def test_a_supervisor_that_gives_up_is_restarted_with_the_children_given_and_without_later_ones() -> None:
    family = Family()
    async with supervising() as outer:
        inner = await outer.start_supervisor("inner", children=family.specs("ab"), max_restarts=0)
        await inner.start_child(family.spec("late"))
        assert [info.kind for info in outer.which_children()] == ["supervisor"]
        family.taken()
        await crash(inner, "a", Oops("x"))
        await until(lambda: "+b" in family.log)
        await rest(outer.scheduler)
        assert family.taken() == ["-a", "-late", "-b", "+a", "+b"]
        assert list(inner.table.entries) == ["a", "b"]
        assert inner.state is ProcessStatus.RUNNING
        await inner.start_child(family.spec("later"))


async def test_a_crash_within_a_tree_concerns_nobody_outside_its_supervisor() -> None:
    family = Family()
    specs = (nested(family, "left", "ab", max_restarts=1), nested(family, "right", "cd"))
    async with Supervisor("outer", children=specs, strategy="one_for_all") as outer:
        family.taken()
        await crash(supervisor_in(outer, "left"), "a", Oops("x"))
        await until(lambda: "+a" in family.log)
        await rest(outer.scheduler)
        assert family.taken() == ["-a", "+a"]


@pytest.mark.parametrize(
    ("strategy", "log"),
    [
        ("one_for_one", ["-c", "-d", "+c", "+d"]),
        ("rest_for_one", ["-c", "-d", "-f", "-e", "+c", "+d", "+e", "+f"]),
        ("one_for_all", ["-c", "-d", "-f", "-e", "-b", "-a", "+a", "+b", "+c", "+d", "+e", "+f"]),
    ],
)
async def test_the_strategy_above_says_which_branches_go_with_one_that_gives_up(
    strategy: Strategy, log: list[str]
) -> None:
    family = Family()
    specs = (nested(family, "left", "ab"), nested(family, "middle", "cd"), nested(family, "right", "ef"))
    async with Supervisor("outer", children=specs, strategy=strategy) as outer:
        family.taken()
        await crash(supervisor_in(outer, "middle"), "c", Oops("x"))
        await until(lambda: len(family.log) == len(log))
        await rest(outer.scheduler)
        assert family.taken() == log


async def test_a_tree_gives_up_when_its_branches_give_up_too_often() -> None:
    family = Family()

    async def crash_again_and_again() -> None:
        async with Supervisor("outer", children=(nested(family, "inner", "a"),), max_restarts=2) as outer:
            family.taken()
            for _ in range(3):
                await crash(supervisor_in(outer, "inner"), "a", Oops("x"))
                await until(lambda: "+a" in family.taken() or outer.state is ProcessStatus.ENDED)

    with pytest.raises(RestartsExhausted, match="'inner' failed again after 2 restarts within 5 s") as caught:
        await crash_again_and_again()
    assert isinstance(caught.value.reason, RestartsExhausted)
    assert caught.value.reason.child == "a"


async def test_a_branch_that_does_not_start_fails_the_start_of_the_tree() -> None:
    family = Family()
    family.fail_at_start("c", Oops("no disk"))
    specs = (family.spec("a"), nested(family, "inner", "bc"))
    with pytest.raises(StartFailed, match="'outer' could not start: 'inner' could not start: 'c' could not start"):
        async with Supervisor("outer", children=specs):
            pass
    assert family.taken() == ["+a", "+b", "-c", "-b", "-a"]


async def test_a_branch_started_later_that_does_not_start_is_forgotten() -> None:
    family = Family()
    family.fail_at_start("a", Oops("no disk"))
    async with supervising() as outer:
        with pytest.raises(StartFailed):
            await outer.start_supervisor("inner", children=family.specs("a"))
        assert outer.which_children() == []


async def test_a_branch_is_terminated_with_all_its_children() -> None:
    family = Family()
    async with supervising() as outer:
        inner = await outer.start_supervisor("inner", children=family.specs("ab"))
        await outer.terminate_child("inner")
        assert family.taken() == ["+a", "+b", "-b", "-a"]
        with pytest.raises(NoProcess):
            await inner.start_child(family.spec("c"))


async def test_a_start_that_fails_at_a_restart_of_a_branch_is_tried_again_by_the_tree() -> None:
    family = Family()
    async with supervising() as outer:
        inner = await outer.start_supervisor("inner", children=family.specs("ab"), max_restarts=0)
        family.taken()
        family.fail_at_start("b", Oops("once"))
        await crash(inner, "a", Oops("x"))
        await until(lambda: "+b" in family.log)
        assert family.taken() == ["-a", "-b", "+a", "-b", "-a", "+a", "+b"]
