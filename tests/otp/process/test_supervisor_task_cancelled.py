"""Supervisors whose own task somebody else cancels while they end their children."""

import asyncio

import pytest

from headrace.otp.process.process import ProcessStatus
from headrace.otp.supervision.supervisor import Supervisor
from tests.fakes.processes import hops
from tests.fakes.slow_servers import Lifeline

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


@pytest.mark.parametrize("hop", range(14))
async def test_a_supervisor_that_is_cancelled_as_it_stops_its_children_still_stops_them_all(hop: int) -> None:
    lifeline = Lifeline()
    supervisor = Supervisor("supervisor", children=(lifeline.spec("a"), lifeline.spec("b"), lifeline.spec("c")))
    async with supervisor:
        supervisor.stop()
        await hops(hop)
        task = supervisor.driver._task
        if task is not None:
            task.cancel()
    await hops(30)
    assert supervisor.state is ProcessStatus.ENDED
    assert lifeline.alive() == []
    assert {info.state for info in supervisor.which_children()} <= {"ended"}
    assert asyncio.all_tasks() == {asyncio.current_task()}
