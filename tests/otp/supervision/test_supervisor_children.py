"""Children one by one: specs that are kept or not, terminate, restart, delete, and what there is to tell of them."""

import asyncio

import pytest

from headrace.errors import ChildIsAlive, ChildKept, ForeignThread, NameTaken, NoChild, NoProcess, StartFailed
from headrace.otp.supervision.child_spec import ChildCount, ChildSpec
from headrace.otp.supervision.restart import Restart
from headrace.otp.supervision.supervisor import Supervisor
from headrace.otp.task import Task
from headrace.otp.task_supervisor import TaskSupervisor
from tests.fakes.families import Family, Member, crash, finish
from tests.fakes.processes import Gate, Oops, hops, supervising
from tests.fakes.stepping import rest, until
from tests.fakes.tasks import Door, double

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


def states(supervisor: Supervisor) -> dict[str, str]:
    return {info.name: info.state for info in supervisor.which_children()}


async def test_a_spec_makes_a_child_with_its_arguments_and_settings() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(ChildSpec(Member, "m", args=(Family(), "its name")))
        assert ref.name == "m"
        assert await ref.call(lambda member: member.name) == "its name"
        assert ChildSpec(Gate).id == "Gate"


async def test_a_child_that_was_terminated_can_be_restarted_and_keeps_its_place() -> None:
    family = Family()
    async with Supervisor("supervisor", children=family.specs("abc")) as supervisor:
        old = supervisor.whereis("b", Member)
        await supervisor.terminate_child("b")
        await supervisor.terminate_child("b")
        assert states(supervisor) == {"a": "running", "b": "ended", "c": "running"}
        new = await supervisor.restart_child("b")
        assert states(supervisor) == dict.fromkeys("abc", "running")
        assert (old.is_alive, new.is_alive) == (False, True)
    assert family.taken() == ["+a", "+b", "+c", "-b", "+b", "-c", "-b", "-a"]


async def test_a_child_that_was_restarted_by_hand_is_watched_over_as_before() -> None:
    family = Family()
    async with Supervisor("supervisor", children=family.specs("a")) as supervisor:
        await supervisor.terminate_child("a")
        await supervisor.restart_child("a")
        await crash(supervisor, "a", Oops("x"))
        await until(lambda: family.log == ["+a", "-a", "+a", "-a", "+a"])


@pytest.mark.parametrize(("restart", "is_kept"), [("transient", True), ("temporary", False)])
async def test_a_child_given_at_the_start_that_is_done_keeps_its_spec_unless_temporary(
    restart: Restart, *, is_kept: bool
) -> None:
    family = Family()
    async with Supervisor("supervisor", children=(family.spec("a", restart),)) as supervisor:
        await finish(supervisor, "a")
        await until(lambda: family.log == ["+a", "-a"])
        await rest(supervisor.scheduler)
        assert states(supervisor) == ({"a": "ended"} if is_kept else {})


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_a_child_started_later_is_forgotten_once_it_has_ended(restart: Restart) -> None:
    family = Family()
    async with supervising() as supervisor:
        for _ in range(3):
            await supervisor.start_child(family.spec("a", restart))
            await supervisor.terminate_child("a")
            assert supervisor.which_children() == []
        with pytest.raises(NoChild, match="supervisor 'supervisor' has no child 'a': it has none"):
            await supervisor.restart_child("a")


async def test_a_spec_is_deleted_once_its_child_has_ended_and_its_name_is_free_then() -> None:
    family = Family()
    async with Supervisor("supervisor", children=family.specs("ab")) as supervisor:
        with pytest.raises(
            ChildIsAlive, match="child 'a' of supervisor 'supervisor' is alive: call terminate_child first"
        ):
            supervisor.delete_child("a")
        with pytest.raises(ChildIsAlive):
            await supervisor.restart_child("a")
        with pytest.raises(NameTaken):
            await supervisor.start_child(family.spec("a"))
        await supervisor.terminate_child("a")
        with pytest.raises(
            ChildKept, match="keeps the spec of 'a', which has ended: use restart_child or delete_child"
        ):
            await supervisor.start_child(family.spec("a"))
        supervisor.delete_child("a")
        await supervisor.start_child(family.spec("a"))
        assert states(supervisor) == {"b": "running", "a": "running"}


async def test_a_child_nobody_knows_is_named_with_those_that_are_known() -> None:
    async with Supervisor("supervisor", children=Family().specs("ab")) as supervisor:
        for ask in (supervisor.terminate_child, supervisor.restart_child):
            with pytest.raises(NoChild, match="has no child 'c': it has 'a', 'b'"):
                await ask("c")
        for ask_now in (supervisor.delete_child, supervisor.whereis):
            with pytest.raises(NoChild):
                ask_now("c")
        with pytest.raises(ForeignThread, match="question about child 'a'"):
            await asyncio.to_thread(supervisor.whereis, "a")


async def test_a_restart_by_hand_that_fails_keeps_the_spec() -> None:
    family = Family()
    async with Supervisor("supervisor", children=family.specs("a")) as supervisor:
        await supervisor.terminate_child("a")
        family.fail_at_start("a", Oops("x"))
        with pytest.raises(StartFailed):
            await supervisor.restart_child("a")
        assert states(supervisor) == {"a": "ended"}
        await supervisor.restart_child("a")
        assert states(supervisor) == {"a": "running"}


async def test_what_there_is_to_tell_of_children() -> None:
    family = Family()
    async with Supervisor("supervisor", children=family.specs("ab")) as supervisor:
        await supervisor.start_child(ChildSpec(TaskSupervisor, "tasks", "transient"))
        await supervisor.terminate_child("a")
        ended, running, tasks = supervisor.which_children()
        assert (ended.ref, ended.state, ended.restart) == (None, "ended", "permanent")
        assert running.ref is not None
        assert (running.ref.name, running.kind, running.state) == ("b", "worker", "running")
        assert (tasks.name, tasks.kind, tasks.restart) == ("tasks", "supervisor", "transient")
        assert supervisor.count_children() == ChildCount(specs=3, active=2, supervisors=1, workers=2)
        assert supervisor.whereis("b", Member).is_alive
        with pytest.raises(NoProcess):
            supervisor.whereis("a")


async def test_a_task_is_a_child_that_is_done_when_its_function_is() -> None:
    async with supervising() as supervisor:
        await supervisor.start_child(Task.child_spec(double, 2))
        await rest(supervisor.scheduler)
        assert supervisor.which_children() == []


async def test_a_task_given_at_the_start_runs_once_although_it_is_done_before_the_start_is() -> None:
    runs: list[int] = []
    specs = (Task.child_spec(runs.append, 1, name="task", restart="transient"),)
    async with Supervisor("supervisor", children=specs) as supervisor:
        assert states(supervisor) == {"task": "ended"}
    assert runs == [1]


async def test_a_transient_task_is_run_again_until_it_succeeds() -> None:
    failures = [Oops("once"), Oops("twice")]

    def work() -> None:
        if failures:
            raise failures.pop()

    async with supervising() as supervisor:
        await supervisor.start_child(Task.child_spec(work, name="work", restart="transient"))
        await until(lambda: not failures)
        await rest(supervisor.scheduler)
        assert supervisor.which_children() == []


async def test_a_task_supervisor_ends_its_tasks_when_the_supervisor_above_stops() -> None:
    door = Door()
    specs = (ChildSpec(TaskSupervisor, "tasks"),)
    async with Supervisor("supervisor", children=specs) as supervisor:
        tasks = supervisor.table.entries["tasks"].process
        assert isinstance(tasks, TaskSupervisor)
        task = tasks.start_child(door.pass_through, 1)
        await door.has_come.wait()
        asyncio.get_running_loop().call_soon(door.opened.set)
    assert await task.result() == 1
    await hops()
    assert not task.is_alive


async def test_a_supervisor_of_tasks_is_found_where_it_is_a_child() -> None:
    async with Supervisor("top") as supervisor:
        await supervisor.start_child(ChildSpec(TaskSupervisor, "tasks"))
        await supervisor.start_child(ChildSpec(Gate, "gate"))
        tasks = supervisor.supervisor("tasks", TaskSupervisor)
        assert await tasks.async_nolink(double, 4).result(5) == 8
        with pytest.raises(NoChild, match="tasks"):
            supervisor.supervisor("gate", TaskSupervisor)


async def test_a_stop_from_outside_may_say_why() -> None:
    async with Supervisor("top") as supervisor:
        ref = await supervisor.start_child(ChildSpec(Gate, "gate"))
        assert await ref.stop("normal") == "normal"
