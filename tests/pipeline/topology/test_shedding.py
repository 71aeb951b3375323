"""A stage in the middle of a drain that nobody is left to take from: it discards batches, and never an end."""

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import OtherSide, SubscriptionHandle
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Pass, Silent
from tests.fakes.laws import check_over
from tests.fakes.stepping import run_of, settled

pytestmark = pytest.mark.asyncio


class AsksNothing(Collect):
    """Asks by hand, and never does."""

    def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> str:
        return "manual"


async def test_a_stage_of_two_producers_that_nobody_reads_ends_in_a_drain() -> None:
    topology, busy = Topology(), Silent()
    topology.add("busy", lambda: busy)
    topology.add("idle", Silent)
    topology.add("both", Pass, subscribe_to=["busy", "idle"])
    sink = topology.add("sink", AsksNothing, subscribe_to=SubscribeTo("both", 1, 0, "temporary"))
    await topology.start()
    await settled(topology)
    (subscription,) = sink.subscriptions()
    subscription.ask(1)
    busy.emit_nowait([1])
    await settled(topology)
    busy.emit_nowait([2])  # which waits at "both", whose turn it was before "idle" had anything
    await settled(topology)
    subscription.cancel()
    outcome = await topology.drain(1)
    assert (outcome.is_drained, outcome.events_lost) == (True, 1)
    check_over(run_of(topology))
