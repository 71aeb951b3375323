"""Consumer supervisors whose task somebody else cancels."""

import pytest

from headrace.otp.process.process import ProcessStatus
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Numbers
from tests.fakes.laws import check_end
from tests.fakes.processes import Oops
from tests.fakes.stepping import run_of, settled, until
from tests.fakes.supervisors import Held


@pytest.mark.asyncio
@pytest.mark.parametrize("is_crash", [True, False])
async def test_a_supervisor_that_is_cancelled_as_it_ends_its_children_accounts_for_each(*, is_crash: bool) -> None:
    held, topology = Held(), Topology()
    topology.add("numbers", lambda: Numbers(4))
    topology.add("children", lambda: held, subscribe_to=SubscribeTo("numbers", 4, 2))
    await topology.start()
    await settled(topology)
    process = run_of(topology).processes["children"]
    if is_crash:
        topology.stage("children").ref.info(Oops("x"))
    else:
        process.stop()
    await until(lambda: process.state is ProcessStatus.STOPPING and process.is_busy)
    await settled(topology)
    task = process.driver._task
    assert task is not None
    task.cancel()
    outcome = await topology.join()
    assert sorted(held.cancelled, key=str) == [1, 2, 3, 4]
    assert outcome.events_lost == 4
    assert outcome.is_completed is is_crash
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_a_supervisor_cancelled_before_it_came_to_its_children_accounts_for_each() -> None:
    held, topology = Held(), Topology()
    topology.add("numbers", lambda: Numbers(4))
    topology.add("children", lambda: held, subscribe_to=SubscribeTo("numbers", 4, 2))
    await topology.start()
    await settled(topology)
    process = run_of(topology).processes["children"]
    process.stop()
    await until(lambda: process.driver._task is not None)
    task = process.driver._task
    assert task is not None
    task.cancel()  # before its first step
    outcome = await topology.join()
    assert outcome.events_lost == 4
    check_end(run_of(topology))
    await until(lambda: len(held.cancelled) == 4)
