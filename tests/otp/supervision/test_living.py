"""The tree of what lives."""

import asyncio

import pytest

from headrace.errors import ForeignThread
from headrace.otp import ProcessTree, tree
from headrace.otp.scheduler import Scheduler
from headrace.otp.supervision.process_tree import ProcessInfo
from headrace.otp.supervision.supervisor import Supervisor
from headrace.otp.task import Task
from headrace.otp.task_supervisor import TaskSupervisor
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Numbers
from tests.fakes.processes import Gate, Oops, Script, busy, hops, start_gate, supervising

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


def named(found: ProcessTree) -> dict[str, ProcessInfo]:
    """Return all processes of a tree by name."""
    return {info.name: info for info in found.walk()}


async def test_all_that_lives_is_there_below_who_watches_over_it_and_nothing_else() -> None:
    assert tree() == ProcessTree(())
    async with supervising() as supervisor:
        await start_gate(supervisor, "b")
        gone, _ = await start_gate(supervisor, "gone")
        await start_gate(supervisor, "a")
        await gone.stop()
        alone = Script("alone", Scheduler(), lambda: None, asyncio.Event().wait)
        alone.start()
        await hops()
        found = tree()
        assert [root.name for root in found.roots] == ["alone", "supervisor"]
        assert [child.name for child in found.roots[1].children] == ["b", "a"]
        assert [info.kind for info in found.walk()] == ["Script", "Supervisor", "Gate", "Gate"]
        alone.kill()
        await alone.terminated
    assert tree() == ProcessTree(())


async def test_each_is_shown_with_its_state_mail_turns_and_restarts() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Gate, name="gate")
        before = named(tree())["gate"]
        assert (before.state, before.mailbox, before.restarts) == ("running", 0, 0)
        assert before.turns >= 1
        await ref.cast(Gate.fail, Oops("x"))
        assert await ref.call(Gate.noted) == []
        ref.info("waits")
        after = named(tree())["gate"]
        assert (after.state, after.mailbox, after.restarts) == ("running", 1, 1)
        assert after.turns > before.turns
        stopped = ref.stop()
        await asyncio.sleep(0)
        await stopped
        assert "gate" not in named(tree())


async def test_a_process_that_stops_slowly_is_shown_as_it_is() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor)
        await busy(ref, gate)
        ref.cast_nowait(Gate.note, 1)
        assert named(tree())["gate"].mailbox == 1
        gate.gate.set_result(None)


async def test_trees_are_nested_and_tasks_and_stages_are_there_too() -> None:
    topology = Topology("t")
    topology.add("numbers", lambda: Numbers(1))
    topology.add("collect", Collect, subscribe_to=None)
    async with supervising() as supervisor, TaskSupervisor("tasks", shutdown_seconds=0) as tasks, topology:
        inner = Supervisor("inner", supervisor.scheduler)
        supervisor.supervise(inner)
        await inner.started
        await start_gate(inner, "deep")
        tasks.start_child(asyncio.Event().wait)
        lonely = Task.start(asyncio.Event().wait)
        await hops()
        found = named(tree())
        assert [child.name for child in found["inner"].children] == ["deep"]
        assert [child.name for child in found["supervisor"].children] == ["inner"]
        assert [child.kind for child in found["tasks"].children] == ["Task"]
        assert found[lonely.name].kind == "Task"
        assert {"numbers", "collect"} <= set(found)
        assert found["collect"].kind == "Collect"
        await lonely.shutdown()


async def test_it_is_drawn_one_process_a_line() -> None:
    leaf = ProcessInfo("leaf", "Gate", "running", 12, 3, 0)
    inner = ProcessInfo("inner", "Supervisor", "running", 0, 10, 1, (leaf,))
    root = ProcessInfo("root", "Supervisor", "stopping", 0, 7, 0, (inner, leaf))
    assert str(ProcessTree((root,))).splitlines() == [
        "root        Supervisor  stopping   0 mail   7 turns  0 restarts",
        "├─ inner    Supervisor  running    0 mail  10 turns  1 restarts",
        "│  └─ leaf  Gate        running   12 mail   3 turns  0 restarts",
        "└─ leaf     Gate        running   12 mail   3 turns  0 restarts",
    ]
    assert str(ProcessTree(())) == ""


async def test_it_needs_a_running_loop() -> None:
    with pytest.raises(ForeignThread, match=r"tree\(\) from a foreign thread"):
        await asyncio.to_thread(tree)
