"""Dispatchers in a running topology: who is refused at the door, and that nothing is lost on the way."""

from collections.abc import Callable
from functools import partial

import pytest

from headrace.errors import GraphError, SubscriptionError
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.dispatchers.dispatcher import Delivery, Dispatcher
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.flow.subscription import SubscribeTo, Subscription
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import KeepMessages, Told
from tests.fakes.flow_stages import Collect, Numbers, Pass, Silent
from tests.fakes.raw_ends import RawConsumer
from tests.fakes.stepping import alone, settled, started

DONE, FAILED = Outcome.DONE, Outcome.FAILED


def _route(event: object) -> int | None:
    """Return 0 or 1; nobody gets 5, 6 fails, and 7 goes to a partition that is none."""
    assert isinstance(event, int)
    if event == 6:
        raise KeyError(event)
    return {5: None, 7: 9}.get(event, event % 2)


PARTITION = StageSettings(dispatcher=partial(PartitionDispatcher, 2, hash=_route, max_queue=3))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("dispatcher", "to", "why"),
    [
        ("demand", SubscribeTo("source", selector=bool), "a selector means something to a broadcast dispatcher only"),
        ("weighted", SubscribeTo("source", weight=0), "its weight is 0: it must be a whole number, 1 or more"),
        ("broadcast", SubscribeTo("source", weight=2), "a weight means something to a weighted dispatcher only"),
        (
            "round_robin",
            SubscribeTo("source", partition=1),
            "a partition means something to a partition dispatcher only",
        ),
        (PARTITION.dispatcher, SubscribeTo("source"), "it must say which partition is its own"),
        (PARTITION.dispatcher, SubscribeTo("source", partition="odd"), "there is no partition 'odd': give one of 0, 1"),
    ],
)
async def test_a_consumer_that_its_producers_dispatcher_has_no_place_for_is_refused_at_the_door(
    dispatcher: str | Callable[[], Dispatcher[Subscription]], to: SubscribeTo, why: str
) -> None:
    topology = Topology()
    topology.add("source", Numbers, settings=StageSettings(dispatcher=dispatcher))
    topology.add("sink", Collect, subscribe_to=to)
    with pytest.raises(GraphError) as caught:
        await topology.start()
    assert str(caught.value).startswith(f"stage 'sink' cannot subscribe to 'source': {why}")
    assert topology.state == "new"


@pytest.mark.asyncio
async def test_a_second_subscription_to_what_is_broadcast_is_refused() -> None:
    """GenStage cancels it, and logs an error."""
    process = alone(Silent(), Scheduler(), StageSettings(dispatcher="broadcast"))
    assert process.output is not None
    await started(process)
    consumer = RawConsumer("consumer", process)
    with pytest.raises(SubscriptionError) as caught:
        process.output.subscribe(consumer.subscription)
    assert str(caught.value) == (
        "the subscription of 'consumer' to 'stage' is refused: "
        "what is broadcast goes to each consumer once, and it is subscribed already"
    )
    assert len(process.output.subscriptions) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("demand", [4, 100])
async def test_each_partition_gets_its_own_and_what_goes_nowhere_is_counted(
    demand: int, caplog: pytest.LogCaptureFixture
) -> None:
    topology, even, odd, second = Topology(), Collect(), Collect(), Collect()
    topology.add("numbers", lambda: Numbers(1000), settings=PARTITION)
    topology.add("even", lambda: even, subscribe_to=SubscribeTo("numbers", demand, partition=0))
    topology.add("odd", lambda: odd, subscribe_to=SubscribeTo("numbers", 3, partition=1))
    topology.add("second", lambda: second, subscribe_to=SubscribeTo("numbers", 2, partition=1))
    outcome = await topology.run()
    assert outcome.is_completed
    assert outcome.events_failed == 2
    assert even.events == [number for number in range(1, 1001) if number % 2 == 0 and number != 6]
    odds = [*odd.events, *second.events]
    assert set(odds) == {number for number in range(1, 1001) if number % 2 and number not in {5, 7}}
    assert len(odds) == len(set(odds))
    stage = topology.snapshot().stages[0]
    assert (stage.discarded["unrouted"], stage.discarded["error"]) == (1, 2)
    assert stage.errors == {"KeyError": 1, "UnknownPartition": 1}
    assert stage.events_sent + sum(stage.discarded.values()) == 1000
    assert "returned 9, which is none of its partitions (0, 1)" in caplog.text


@pytest.mark.asyncio
async def test_what_a_partition_holds_is_not_done_before_it_is_handled() -> None:
    topology, source, even, odd = Topology(), Told(20), KeepMessages(), KeepMessages()
    topology.add("source", lambda: source, settings=PARTITION)
    topology.add("even", lambda: even, subscribe_to=SubscribeTo("source", 4, partition=0))
    topology.add("odd", lambda: odd, subscribe_to=SubscribeTo("source", 2, partition=1))
    assert (await topology.run()).is_completed
    assert even.data == [2, 4, 8, 10, 12, 14, 16, 18, 20]
    assert odd.data == [1, 3, 9, 11, 13, 15, 17, 19]
    assert source.outcomes() == [FAILED if number in {6, 7} else DONE for number in range(1, 21)]


@pytest.mark.asyncio
async def test_what_waits_for_nobody_has_failed_when_the_run_ends(caplog: pytest.LogCaptureFixture) -> None:
    topology, source, even = Topology(), Told(4), KeepMessages()
    topology.add("source", lambda: source, settings=PARTITION)
    topology.add("even", lambda: even, subscribe_to=SubscribeTo("source", partition=0))
    await topology.start()
    outcome = await topology.drain()
    assert outcome.is_drained
    assert outcome.events_lost == len(source.outcomes()) - len(even.data)
    stage = topology.snapshot().stages[0]
    assert stage.buffer_events == 0
    assert source.outcomes() == [DONE if number % 2 == 0 else FAILED for number in range(1, len(source.outcomes()) + 1)]


@pytest.mark.asyncio
async def test_a_partition_that_nobody_takes_is_named_stops_its_stage_and_does_not_hold_up_a_drain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    topology, numbers, even = Topology(), Numbers(), Collect()
    topology.add("numbers", lambda: numbers)
    parity = StageSettings(dispatcher=partial(PartitionDispatcher, 2, max_queue=5))
    topology.add("pass", Pass, subscribe_to=SubscribeTo("numbers", 4), settings=parity)
    topology.add("even", lambda: even, subscribe_to=SubscribeTo("pass", partition=0))
    await topology.start()
    await settled(topology)
    stage = topology.snapshot().stages[1]
    assert 5 <= stage.buffer_events <= 7
    assert caplog.text.count("nobody subscribes to its partition 1") == 1
    outcome = await topology.drain()
    assert outcome.is_drained
    assert outcome.events_lost == numbers.emitted - len(even.events)
    assert even.events == list(range(2, numbers.emitted + 1, 2))


@pytest.mark.asyncio
@pytest.mark.parametrize("dispatcher", ["round_robin", "weighted"])
async def test_a_greedy_consumer_does_not_starve_a_modest_one(dispatcher: str) -> None:
    """GenStage's default fills the one with the highest demand first."""
    topology, greedy, modest = Topology(), Collect(), Collect()
    topology.add("numbers", lambda: Numbers(2000), settings=StageSettings(dispatcher=dispatcher))
    topology.add("greedy", lambda: greedy, subscribe_to=SubscribeTo("numbers", 1000))
    topology.add("modest", lambda: modest, subscribe_to=SubscribeTo("numbers", 10))
    assert (await topology.run()).is_fine
    assert sorted(map(str, [*greedy.events, *modest.events])) == sorted(map(str, range(1, 2001)))
    assert len(modest.events) >= 10


@pytest.mark.asyncio
async def test_a_stage_that_accumulates_lets_every_consumer_of_a_broadcast_have_the_first_events() -> None:
    topology, first, late = Topology(), Collect(), Collect()
    source = topology.add(
        "numbers", lambda: Numbers(10), settings=StageSettings(dispatcher="broadcast", demand="accumulate")
    )
    topology.add("first", lambda: first, subscribe_to="numbers")
    topology.add("late", lambda: late, subscribe_to=None)
    await topology.start()
    topology.stage("late").subscribe("numbers")
    assert first.events == []
    source.demand("forward")
    assert (await topology.join()).is_fine
    assert first.events == late.events == list(range(1, 11))


@pytest.mark.asyncio
async def test_a_dispatcher_of_ones_own_decides_who_gets_what() -> None:
    class Backwards(Dispatcher[Subscription]):
        """Gives all to the consumer that subscribed last."""

        def __init__(self) -> None:
            self.shares: list[Subscription] = []

        def subscribed(self, share: Subscription) -> None:
            self.shares.append(share)

        def asked(self, share: Subscription, demand: int) -> None:
            share.pending += demand

        def unmet(self) -> int:
            return self.shares[-1].pending if self.shares else 0

        def dispatch(self, events: list[object], ingested_at: float) -> tuple[list[Delivery[Subscription]], int]:
            used = min(self.unmet(), len(events))
            if not used:
                return [], 0
            last = self.shares[-1]
            last.pending -= used
            return [(last, events[:used], ingested_at)], used

    topology, first, last = Topology(), Collect(), Collect()
    topology.add("numbers", lambda: Numbers(100), settings=StageSettings(dispatcher=Backwards))
    topology.add("first", lambda: first, subscribe_to="numbers")
    topology.add("last", lambda: last, subscribe_to=SubscribeTo("numbers", 7))
    assert (await topology.run()).is_fine
    assert sorted([len(first.events), len(last.events)]) == [0, 100]
