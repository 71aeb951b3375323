"""Handles of stages that run: outputs have one, too, and a snapshot says what was changed by them."""

from typing import Any

import pytest

from headrace.errors import GraphError
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.snapshot import SubscriptionSnapshot
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Pass, Silent
from tests.fakes.stepping import settled

pytestmark = pytest.mark.asyncio


async def test_an_output_that_is_taken_has_a_handle_once_the_run_has_begun() -> None:
    topology = Topology()
    topology.add("source", Silent)
    topology.add("middle", Pass, subscribe_to="source")
    topology.add("errors", Collect, subscribe_to=SubscribeTo("middle", output="errors"))
    with pytest.raises(GraphError, match="does not exist"):
        topology.stage("middle.errors")
    async with topology:
        topology.stage("middle.errors").pause()
        (paused,) = [one.name for one in topology.snapshot().stages if one.is_paused]
        assert paused == "middle.errors"


@pytest.mark.parametrize(("keep", "kept"), [("first", [1, 2]), ("last", [3, 4])])
async def test_a_buffer_that_is_resized_drops_from_the_end_it_dropped_from_before(keep: Any, kept: list[int]) -> None:
    topology, collect = Topology(), Collect()
    inbox = topology.add("inbox", Inbox[int], settings=StageSettings(buffer_size=4, buffer_keep=keep))
    topology.add("collect", lambda: collect, subscribe_to=None)
    async with topology:
        await inbox.emit([1, 2, 3, 4])
        inbox.resize(2)
        assert topology.snapshot().stages[0].buffer_limit == 2
        topology.stage("collect").subscribe("inbox")
        await settled(topology)
    assert collect.events == kept


async def test_a_snapshot_says_what_is_asked_of_whom_until_a_subscription_has_ended() -> None:
    topology = Topology()
    topology.add("source", Silent)
    sink = topology.add("sink", Collect, subscribe_to=SubscribeTo("source", max_demand=10, min_demand=2))
    async with topology:
        await settled(topology)
        assert topology.snapshot().stages[1].subscriptions == (SubscriptionSnapshot("source", 10, 2, 10),)
        sink.subscriptions()[0].change(20)
        assert topology.snapshot().stages[1].subscriptions == (SubscriptionSnapshot("source", 20, 10, 20),)
        sink.subscriptions()[0].cancel()
        assert topology.snapshot().stages[1].subscriptions == ()
