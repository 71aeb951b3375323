"""Strategies: who is stopped and started again with a child that fails, in which order, and what comes between."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from headrace.errors import BadOption, NoProcess, RestartsExhausted, StartFailed
from headrace.otp.process.process import ProcessStatus
from headrace.otp.process.state import ProcessSettings
from headrace.otp.scheduler import Scheduler
from headrace.otp.supervision.child_spec import ChildSpec, SupervisorOptions
from headrace.otp.supervision.restart import Restart, Strategy
from headrace.otp.supervision.supervisor import Supervisor
from tests.fakes.families import Family, Member, crash, finish
from tests.fakes.processes import Oops, hops, said
from tests.fakes.stepping import rest, until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


@asynccontextmanager
async def raising_up(family: Family, **options: object) -> AsyncIterator[Supervisor]:
    """Run a supervisor over permanent members a, b, c and d unless told otherwise; forget how it started."""
    settings: SupervisorOptions = {"children": family.specs("abcd"), **options}  # type: ignore[typeddict-item]  # a test's own options
    supervisor = Supervisor("supervisor", Scheduler(), **settings)
    async with supervisor:
        family.taken()
        yield supervisor


async def test_children_given_are_started_in_order_and_stopped_in_reverse() -> None:
    family = Family()
    async with Supervisor("supervisor", children=family.specs("abc")):
        assert family.taken() == ["+a", "+b", "+c"]
    assert family.taken() == ["-c", "-b", "-a"]


@pytest.mark.parametrize("slowness", [0, 3])
@pytest.mark.parametrize(
    ("strategy", "log"),
    [
        ("one_for_one", ["-b", "+b"]),
        ("one_for_all", ["-b", "-d", "-c", "-a", "+a", "+b", "+c", "+d"]),
        ("rest_for_one", ["-b", "-d", "-c", "+b", "+c", "+d"]),
    ],
)
async def test_a_crash_restarts_those_whom_the_strategy_names_in_order(
    strategy: Strategy, log: list[str], slowness: int
) -> None:
    family = Family()
    async with raising_up(family, strategy=strategy) as supervisor:
        family.hops = slowness
        await crash(supervisor, "b", Oops("x"))
        await until(lambda: len(family.log) == len(log))
        await rest(supervisor.scheduler)
        assert family.taken() == log
        assert [info.state for info in supervisor.which_children()] == ["running"] * 4


async def test_the_log_says_who_is_restarted_with_whom(caplog: pytest.LogCaptureFixture) -> None:
    family = Family()
    async with raising_up(family, strategy="rest_for_one") as supervisor:
        await crash(supervisor, "b", Oops("x"))
        await until(lambda: len(family.log) == 6)
    assert said(caplog, logging.WARNING) == ["restarting 'b', and with it c, d"]


@pytest.mark.parametrize(("restart", "is_restarted"), [("permanent", True), ("transient", True), ("temporary", False)])
async def test_whoever_is_restarted_with_others_is_so_unless_temporary(restart: Restart, *, is_restarted: bool) -> None:
    family = Family()
    specs = (family.spec("a"), family.spec("b", restart), family.spec("c"))
    async with raising_up(family, strategy="one_for_all", children=specs) as supervisor:
        await crash(supervisor, "c", Oops("x"))
        await until(lambda: "+c" in family.log)
        assert family.taken() == ["-c", "-b", "-a", "+a", *(["+b"] if is_restarted else []), "+c"]
        assert ("b" in supervisor.table.entries) is is_restarted


async def test_the_crash_of_a_temporary_child_concerns_nobody_else() -> None:
    family = Family()
    specs = (family.spec("a"), family.spec("b", "temporary"))
    async with raising_up(family, strategy="one_for_all", children=specs) as supervisor:
        await crash(supervisor, "b", Oops("x"))
        await until(lambda: family.log == ["-b"])
        await rest(supervisor.scheduler)
        assert family.taken() == ["-b"]
        assert list(supervisor.table.entries) == ["a"]


async def test_a_permanent_child_that_ends_normally_restarts_the_others_a_transient_one_does_not() -> None:
    family = Family()
    specs = (family.spec("a"), family.spec("b", "transient"), family.spec("c"))
    async with raising_up(family, strategy="one_for_all", children=specs) as supervisor:
        await finish(supervisor, "b")
        await until(lambda: family.log == ["-b"])
        await rest(supervisor.scheduler)
        assert family.taken() == ["-b"]
        await finish(supervisor, "c")
        await until(lambda: "+c" in family.log)
        assert family.taken() == ["-c", "-a", "+a", "+b", "+c"]


async def test_what_was_told_to_stop_is_not_brought_back_by_a_sibling_s_crash() -> None:
    family = Family()
    async with raising_up(family, strategy="one_for_all") as supervisor:
        await supervisor.terminate_child("b")
        await supervisor.whereis("c").stop()
        await crash(supervisor, "a", Oops("x"))
        await until(lambda: "+d" in family.log)
        assert family.taken() == ["-b", "-c", "-a", "-d", "+a", "+d"]


async def test_children_started_later_are_in_the_group_too_last() -> None:
    family = Family()
    async with raising_up(family, strategy="rest_for_one") as supervisor:
        await supervisor.start_child(family.spec("e"))
        await crash(supervisor, "d", Oops("x"))
        await until(lambda: family.log[-1] == "+e" and len(family.log) > 1)
        assert family.taken() == ["+e", "-d", "-e", "+d", "+e"]


async def test_mail_and_references_survive_the_restart_of_a_group() -> None:
    family = Family()
    async with raising_up(family, strategy="one_for_all") as supervisor:
        sibling = supervisor.whereis("d", Member)
        await crash(supervisor, "a", Oops("x"))
        assert await sibling.call(lambda member: member.name) == "d"


async def test_a_child_that_hangs_is_cancelled_after_its_shutdown_time_in_a_group_too() -> None:
    family = Family()
    specs = (*family.specs("a"), family.spec("b", shutdown_seconds=0), *family.specs("cd"))
    async with raising_up(family, strategy="one_for_all", children=specs) as supervisor:
        await supervisor.whereis("b", Member).cast(Member.hang)
        await crash(supervisor, "a", Oops("x"))
        await until(lambda: "+d" in family.log)
        assert family.taken() == ["-a", "-d", "-c", "-b", "+a", "+b", "+c", "+d"]


async def test_a_child_that_never_ends_is_left_behind_and_holds_nobody_up() -> None:
    family, freed = Family(), asyncio.Event()

    class Stubborn(Member):
        async def hang(self) -> None:
            while not freed.is_set():
                with suppress(asyncio.CancelledError):
                    await freed.wait()

    settings = ProcessSettings(shutdown_seconds=0)
    stubborn = ChildSpec(Stubborn, "b", "permanent", settings, (family, "b"))
    specs = (*family.specs("a"), stubborn, *family.specs("c"))
    async with raising_up(family, strategy="one_for_all", children=specs) as supervisor:
        await supervisor.whereis("b", Member).cast(Member.hang)
        await crash(supervisor, "c", Oops("x"))
        await until(lambda: "+c" in family.log)
        assert [entry for entry in family.taken() if entry[0] == "+"] == ["+a", "+b", "+c"]
        await supervisor.whereis("b", Member).cast(Member.hang)
    assert supervisor.state is ProcessStatus.ENDED
    freed.set()
    await hops()


async def test_a_group_counts_as_one_restart() -> None:
    family = Family()

    async def crash_three_times() -> None:
        async with raising_up(family, strategy="one_for_all", max_restarts=2) as supervisor:
            for _ in range(3):
                await crash(supervisor, "b", Oops("x"))
                await until(lambda: "+d" in family.log or supervisor.state is ProcessStatus.ENDED)
                assert family.taken()[:4] == ["-b", "-d", "-c", "-a"]

    with pytest.raises(RestartsExhausted, match="'b' failed again after 2 restarts within 5 s"):
        await crash_three_times()


async def test_a_start_that_fails_within_a_group_is_tried_again_and_counts() -> None:
    family = Family()
    async with raising_up(family, strategy="one_for_all", children=family.specs("abc")) as supervisor:
        family.fail_at_start("b", Oops("once"), Oops("twice"))
        await crash(supervisor, "a", Oops("x"))
        await until(lambda: "+c" in family.log)
        assert family.taken() == ["-a", "-c", "-b", "+a", "-b", "-a", "+a", "-b", "-a", "+a", "+b", "+c"]
        assert supervisor.table.window.allows(supervisor.scheduler.clock()) is False


async def test_a_sibling_that_crashes_while_its_group_is_stopped_is_not_counted_twice() -> None:
    family = Family()
    async with raising_up(family, strategy="one_for_all", max_restarts=1) as supervisor:
        family.hops = 4
        for name in "abcd":
            await crash(supervisor, name, Oops(name))
        await until(lambda: "+d" in family.log)
        assert family.taken()[4:] == ["+a", "+b", "+c", "+d"]
        assert supervisor.state is ProcessStatus.RUNNING


async def test_a_temporary_child_that_crashes_as_its_group_is_stopped_does_not_hold_the_group_up() -> None:
    family = Family()
    specs = (family.spec("a"), family.spec("b", "temporary"))
    async with raising_up(family, strategy="one_for_all", children=specs) as supervisor:
        await crash(supervisor, "a", Oops("a"))
        await crash(supervisor, "b", Oops("b"))
        await until(lambda: "+a" in family.log)
        assert family.taken() == ["-a", "-b", "+a"]


async def test_a_child_that_was_done_comes_back_with_its_group_although_that_is_begun_twice() -> None:
    family = Family()
    specs = (family.spec("a"), family.spec("b", "transient"))
    async with raising_up(family, strategy="one_for_all", children=specs) as supervisor:
        await finish(supervisor, "b")
        await until(lambda: "-b" in family.log)
        for _ in range(2):
            await crash(supervisor, "a", Oops("x"))
        await until(lambda: family.log.count("-a") == 2)
        await until(lambda: [info.state for info in supervisor.which_children()] == ["running"] * 2)


async def test_a_child_that_crashes_while_its_group_is_started_begins_the_group_again() -> None:
    family = Family()
    async with raising_up(family, strategy="one_for_all", children=family.specs("abc")) as supervisor:
        await crash(supervisor, "c", Oops("x"))
        family.hops = 5
        await until(lambda: family.log[-1:] == ["+a"])
        await crash(supervisor, "a", Oops("y"))
        await until(lambda: "+c" in family.log)
        log = family.taken()
        assert log[:4] == ["-c", "-b", "-a", "+a"]
        assert log[-3:] == ["+a", "+b", "+c"]
        assert log.count("-a") == 2


async def test_a_stop_in_the_middle_of_a_group_s_restart_ends_it_wherever_it_is() -> None:
    for moment in range(60):
        family = Family()
        async with raising_up(family, strategy="one_for_all", children=family.specs("abc")) as supervisor:
            family.hops = 2
            await crash(supervisor, "b", Oops("x"))
            processes = [child.process for child in supervisor.table.entries.values()]
            await hops(moment)
        assert supervisor.state is ProcessStatus.ENDED
        assert all(process.state is ProcessStatus.ENDED for process in processes)
        for name in "abc":
            assert family.log.count(f"+{name}") + 1 <= family.log.count(f"-{name}")


async def test_a_child_told_to_stop_while_it_waits_for_its_group_stays_stopped() -> None:
    family = Family()
    async with raising_up(family, strategy="one_for_all", children=family.specs("abc")) as supervisor:
        family.hops = 5
        await crash(supervisor, "c", Oops("x"))
        await until(lambda: supervisor.which_children()[1].state == "restarting")
        await supervisor.terminate_child("b")
        await until(lambda: "+c" in family.log)
        assert family.taken() == ["-c", "-b", "-a", "+a", "+c"]
        assert [info.state for info in supervisor.which_children()] == ["running", "ended", "running"]
        with pytest.raises(NoProcess):
            supervisor.whereis("b")


async def test_a_first_child_that_does_not_start_stops_those_before_it_in_reverse_and_fails_the_start() -> None:
    family, error = Family(), Oops("no disk")
    family.fail_at_start("c", error)
    with pytest.raises(StartFailed, match="'supervisor' could not start: 'c' could not start: Oops: no disk") as caught:
        async with Supervisor("supervisor", children=family.specs("abcd")):
            pass
    assert family.taken() == ["+a", "+b", "-c", "-b", "-a"]
    assert isinstance(caught.value.reason, StartFailed)
    assert caught.value.reason.reason is error


async def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadOption, match="strategy is 'all_for_one', and must be 'one_for_one', 'one_for_all' or"):
        Supervisor("supervisor", strategy="all_for_one")  # type: ignore[arg-type]
    with pytest.raises(BadOption, match=r"children is \['a', 'a'\], and must be each of another name"):
        Supervisor("supervisor", children=Family().specs("aa"))
    with pytest.raises(BadOption, match="restart is 'always', and must be 'permanent', 'transient' or 'temporary'"):
        Family().spec("a", "always")  # type: ignore[arg-type]
    with pytest.raises(BadOption, match="max_restarts is -1, and must be a whole number, 0 or more"):
        Supervisor("supervisor", max_restarts=-1)
