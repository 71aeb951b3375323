"""GenStage's exit table: what the end of a producer, or of a subscription, does to the consumer; mode by mode."""

import asyncio
from typing import Final, Literal

import pytest

from headrace.errors import GraphError, NoProcess
from headrace.otp.process.process import ExitReason, ProcessStatus
from headrace.pipeline.flow.subscription import CancelMode, SubscribeTo
from headrace.pipeline.flow.subscription_handle import SubscriptionHandle
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Silent
from tests.fakes.processes import Oops
from tests.fakes.stepping import run_of, settled

BOOM: Final = Oops("boom")

End = Literal[
    "stops, normal",
    "stops, shutdown",
    "stops, boom",
    "crashes for good",
    "is stopped",
    "cancels, normal",
    "cancels, shutdown",
    "cancels, boom",
    "completes",
    "consumer cancels",
]

MODES: Final[tuple[CancelMode, ...]] = ("permanent", "transient", "temporary")

LIVES: Final = None

TABLE: Final[dict[End, tuple[ExitReason | None, ExitReason | None, ExitReason | None]]] = {
    #                     permanent    transient  temporary
    "stops, normal": ("normal", LIVES, LIVES),
    "stops, shutdown": ("shutdown", LIVES, LIVES),
    "stops, boom": (BOOM, BOOM, LIVES),
    "crashes for good": (BOOM, BOOM, LIVES),
    "is stopped": ("shutdown", LIVES, LIVES),
    "cancels, normal": ("normal", LIVES, LIVES),
    "cancels, shutdown": ("shutdown", LIVES, LIVES),
    "cancels, boom": (BOOM, BOOM, LIVES),
    "completes": (LIVES, LIVES, LIVES),  # an end of its own, which in GenStage is an exit "normal"
    "consumer cancels": (LIVES, LIVES, LIVES),  # in GenStage it ends a permanent one
}
"""What the consumer ends with, for each mode."""

REASONS: Final[dict[str, ExitReason]] = {"normal": "normal", "shutdown": "shutdown", "boom": BOOM}


class _Ending(Producer[object]):
    """Ends in whichever way it is told."""

    def __init__(self) -> None:
        self.consumers: list[SubscriptionHandle] = []

    def handle_demand(self, demand: int) -> list[object]:
        return []

    def handle_subscribe(self, side: str, to: SubscribeTo, subscription: SubscriptionHandle) -> None:
        self.consumers.append(subscription)

    def end(self, how: str) -> None:
        word, _, reason = how.partition(", ")
        if word == "stops":
            self.stop(REASONS[reason])
        elif word == "cancels":
            self.consumers[0].cancel(REASONS[reason])
        elif word == "completes":
            self.complete()
        elif word == "crashes for good":
            raise BOOM


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", TABLE)
async def test_a_consumer_ends_with_its_producer_as_its_cancel_mode_says(how: End, mode: CancelMode) -> None:
    topology, other, collect = Topology(), Silent(), Collect()
    ending = topology.add("ending", _Ending, settings=StageSettings(restart="temporary"))
    topology.add("other", lambda: other)
    to = [SubscribeTo("ending", cancel=mode), SubscribeTo("other", cancel="temporary")]
    handle = topology.add("collect", lambda: collect, subscribe_to=to)
    async with topology:
        await settled(topology)
        if how == "consumer cancels":
            next(one for one in handle.subscriptions() if one.producer == "ending").cancel()
        elif how == "is stopped":
            run_of(topology).processes["ending"].stop()
        else:
            ending.ref.cast_nowait(_Ending.end, how)
        await settled(topology)
        expected = TABLE[how][MODES.index(mode)]
        process = run_of(topology).processes["collect"]
        assert process.state is (ProcessStatus.RUNNING if expected is LIVES else ProcessStatus.ENDED)
        assert process.reason == expected
        assert process.restarts == 0
        other.emit_nowait([1])
        await settled(topology)
        assert collect.events == ([1] if expected is LIVES else [])


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", MODES)
async def test_who_subscribes_to_what_has_ended_hears_it_and_lives_on(mode: CancelMode) -> None:
    """GenStage stops a permanent or transient consumer with `noproc`, and lets a temporary one wait unheard."""
    topology, other, collect = Topology(), Silent(), Collect()
    topology.add("dead", Silent)
    topology.add("other", lambda: other)
    handle = topology.add("collect", lambda: collect, subscribe_to="other")
    async with topology:
        run_of(topology).processes["dead"].stop()
        await settled(topology)
        with pytest.raises(NoProcess, match="'dead' is not running"):
            handle.subscribe(SubscribeTo("dead", cancel=mode))
        with pytest.raises(GraphError, match="'nobody', which does not exist"):
            handle.subscribe(SubscribeTo("nobody", cancel=mode))
        other.emit_nowait([1])
        await settled(topology)
        assert collect.events == [1]


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", MODES)
async def test_a_name_that_nobody_has_is_refused_before_anything_starts(mode: CancelMode) -> None:
    topology = Topology()
    topology.add("collect", Collect, subscribe_to=SubscribeTo("nobody", cancel=mode))
    with pytest.raises(GraphError, match="'nobody', which does not exist"):
        await topology.start()
    assert asyncio.all_tasks() == {asyncio.current_task()}
