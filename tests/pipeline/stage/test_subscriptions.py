"""Subscriptions while stages run: told of, asked on by hand, cancelled from either side, made anew, changed."""

import asyncio
from collections.abc import Awaitable

import pytest

from headrace.errors import DemandError, GraphError, NoProcess, StartFailed, SubscriptionError
from headrace.pipeline.flow.subscription import CancelMode, SubscribeTo
from headrace.pipeline.flow.subscription_handle import OtherSide, SubscriptionHandle
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.handle import StageHandle
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Gated, Numbers, Pass, Silent
from tests.fakes.laws import check_over
from tests.fakes.stepping import run_of, settled
from tests.fakes.subscribing import TellingCollect, TellingPass, TellingSilent, Told

pytestmark = pytest.mark.asyncio


async def test_both_sides_are_told_of_a_subscription_before_anything_flows() -> None:
    topology, told = Topology(), Told()
    topology.add("silent", lambda: TellingSilent(told))
    topology.add("pass", lambda: TellingPass(told), subscribe_to="silent")
    topology.add("collect", lambda: TellingCollect(told), subscribe_to=SubscribeTo("pass", options={"key": 1}))
    await topology.start()
    await settled(topology)
    assert sorted(told.log) == [
        ("subscribe", "consumer", "collect"),
        ("subscribe", "consumer", "pass"),
        ("subscribe", "producer", "pass"),
        ("subscribe", "producer", "silent"),
    ]
    assert {handle.to.options.get("key") for handle in told.handles} == {None, 1}
    await topology.drain()


async def test_a_consumer_may_ask_by_hand() -> None:
    topology, told, numbers = Topology(), Told("manual"), Numbers()
    collect = TellingCollect(told)
    topology.add("numbers", lambda: numbers)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("numbers", max_demand=10, min_demand=5))
    await topology.start()
    await settled(topology)
    (subscription,) = told.handles
    assert subscription.is_manual
    assert numbers.demands == []
    subscription.ask(7)
    subscription.ask(0)
    await settled(topology)
    assert collect.batches == [[1, 2, 3, 4, 5, 6, 7]]  # a whole delivery is one batch
    assert (numbers.demands, subscription.outstanding) == ([7], 0)
    subscription.ask(2)
    await settled(topology)
    assert numbers.demands == [7, 2]
    await topology.stop()


async def test_asking_by_hand_keeps_to_max_demand_and_to_what_can_be() -> None:
    topology, told, by_itself = Topology(), Told("manual"), Told()
    topology.add("silent", Silent)
    topology.add("collect", lambda: TellingCollect(told), subscribe_to=SubscribeTo("silent", max_demand=10))
    topology.add("other", lambda: TellingCollect(by_itself), subscribe_to="silent")
    await topology.start()
    await settled(topology)
    (subscription,), (automatic,) = told.handles, by_itself.handles
    with pytest.raises(
        DemandError, match="demand is -1, and must be a whole number from 0 to 10: 0 events are outstanding"
    ):
        subscription.ask(-1)
    subscription.ask(8)
    with pytest.raises(DemandError, match="from 0 to 2: 8 events are outstanding"):
        subscription.ask(3)
    with pytest.raises(SubscriptionError, match=r"'other' to 'silent' asks by itself: return \"manual\""):
        automatic.ask(1)
    await topology.stop()
    subscription.ask(1)  # it has ended, and takes no notice


async def test_what_handle_subscribe_must_not_return_is_named() -> None:
    topology = Topology(max_restarts=0)
    topology.add("silent", Silent)
    topology.add("collect", lambda: TellingCollect(Told("by hand")), subscribe_to="silent")
    expected = 'handle_subscribe of stage \'collect\' returned str, and must return None or "automatic" or "manual"'
    with pytest.raises(StartFailed, match=expected):
        await topology.start()


async def test_a_cancelled_subscription_does_not_end_a_permanent_consumer() -> None:
    """GenStage's confirmation of a cancel ends the consumer that asked for it (its issue 222)."""
    topology, told, numbers = Topology(cancel="permanent"), Told(), Silent()
    collect = TellingCollect(told)
    topology.add("numbers", lambda: numbers)
    handle = topology.add("collect", lambda: collect, subscribe_to="numbers")
    await topology.start()
    await settled(topology)
    numbers.emit_nowait([1, 2])
    await settled(topology)
    (subscription,) = handle.subscriptions()
    subscription.cancel("shutdown")
    subscription.cancel()
    assert not subscription.is_alive
    await settled(topology)
    assert told.log[1:] == [("cancel", "cancel", "shutdown", "numbers", "collect")]
    assert handle.ref.is_alive
    assert handle.subscriptions() == []
    numbers.emit_nowait([3])
    again = handle.subscribe("numbers")
    await settled(topology)
    assert again.is_alive
    assert collect.events == [1, 2, 3]
    await topology.drain()
    check_over(run_of(topology))


async def test_what_a_cancelled_consumer_has_not_begun_goes_to_another() -> None:
    topology, gated, collect = Topology(), Gated(), Collect()
    topology.add("numbers", lambda: Numbers(20))
    handle = topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("numbers", max_demand=10, min_demand=5))
    other = topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    await settled(topology)
    assert run_of(topology).processes["gated"].is_busy
    handle.subscriptions()[0].cancel()
    other.subscribe("numbers")
    await settled(topology)
    assert collect.events == list(range(6, 21))
    gated.gate.set()
    outcome = await topology.join()
    assert gated.events == [1, 2, 3, 4, 5]  # the batch in hand was handled to its end
    assert outcome.is_fine
    check_over(run_of(topology))


@pytest.mark.parametrize(("cancel", "lives"), [("permanent", False), ("transient", True), ("temporary", True)])
async def test_a_producer_that_cancels_is_like_one_that_ends(cancel: CancelMode, *, lives: bool) -> None:
    topology, told, silent = Topology(), Told(), TellingSilent(Told())
    collect = TellingCollect(told)
    topology.add("silent", lambda: silent)
    topology.add("other", Silent)
    handle = topology.add("collect", lambda: collect, subscribe_to=[SubscribeTo("silent", cancel=cancel), "other"])
    await topology.start()
    await settled(topology)
    silent.emit_nowait([1, 2, 3])
    silent.told.handles[0].cancel()
    await settled(topology)
    assert collect.events == [1, 2, 3]
    assert told.log[-1] == ("cancel", "cancel", "normal", "silent", "collect")
    assert silent.told.log[-1] == told.log[-1]
    assert handle.ref.is_alive is lives
    await topology.stop()
    check_over(run_of(topology))


async def test_the_producers_side_has_no_words_of_the_consumers() -> None:
    topology, silent = Topology(), TellingSilent(Told())
    topology.add("silent", lambda: silent)
    topology.add("collect", Collect, subscribe_to="silent")
    await topology.start()
    await settled(topology)
    (handle,) = silent.told.handles
    assert repr(handle) == "<subscription of 'collect' to 'silent'>"
    for word in (lambda: handle.ask(1), lambda: handle.change(5), handle.resubscribe):
        with pytest.raises(SubscriptionError, match="belongs to its consumer"):
            word()
    await topology.stop()


async def test_a_producer_may_not_answer_manual() -> None:
    topology = Topology(max_restarts=0)
    topology.add("silent", lambda: TellingSilent(Told("manual")))
    topology.add("collect", Collect, subscribe_to="silent")
    await topology.start()
    outcome = await topology.join()
    assert 'must return None or "automatic"' in str(outcome.reason)


async def test_last_words_at_the_end_of_a_subscription_are_emitted() -> None:
    topology, told, collect, numbers = Topology(cancel="temporary"), Told(), Collect(), Silent()
    topology.add("numbers", lambda: numbers)
    topology.add("rest", lambda: Numbers(2))
    topology.add("pass", lambda: TellingPass(told), subscribe_to=["numbers", "rest"])
    topology.add("collect", lambda: collect, subscribe_to="pass")
    await topology.start()
    await settled(topology)
    numbers.complete()
    outcome = await topology.join()
    assert outcome.is_fine
    assert collect.events == [1, 2, "rest completed", "numbers completed"]


async def test_resubscribing_is_one_step() -> None:
    topology, collect, numbers = Topology(), Collect(), Numbers()
    topology.add("numbers", lambda: numbers)
    handle = topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("numbers", max_demand=4))
    topology.add("idle", Collect, subscribe_to="numbers")
    await topology.start()
    (first,) = handle.subscriptions()
    second = first.resubscribe(SubscribeTo("numbers", max_demand=6, min_demand=1))
    third = second.resubscribe()
    assert [one.is_alive for one in (first, second, third)] == [False, False, True]
    assert (third.to, third == second) == (second.to, False)
    assert handle.subscriptions() == [third]
    await topology.drain()
    check_over(run_of(topology))


async def test_a_stage_subscribes_itself() -> None:
    class Follows(Collect):
        def handle_info(self, name: str) -> None:
            self.subscribe(SubscribeTo(name, max_demand=5))

        def handle_events(self, events: list[object]) -> None:
            self.events += [(self.source.producer, event) for event in events]

    topology, follows, silent = Topology(), Follows(), Silent()
    topology.add("silent", lambda: silent)
    topology.add("two", lambda: Numbers(2))
    handle = topology.add("follows", lambda: follows, subscribe_to="silent")
    await topology.start()
    silent.emit_nowait([3])
    handle.ref.info("two")
    await settled(topology)
    silent.complete()
    assert (await topology.join()).is_fine
    assert sorted(follows.events, key=str) == [("silent", 3), ("two", 1), ("two", 2)]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_stage_told_of_its_last_end_may_go_on_with_another_producer(*, is_async: bool) -> None:
    class Next(Collect):
        def handle_cancel(self, kind: str, reason: object, subscription: SubscriptionHandle) -> Awaitable[None] | None:
            if is_async:
                return self.go_on_later(subscription)
            self.go_on(subscription)
            return None

        def go_on(self, subscription: SubscriptionHandle) -> None:
            if subscription.producer == "first":
                self.subscribe("second")

        async def go_on_later(self, subscription: SubscriptionHandle) -> None:
            await asyncio.sleep(0)
            self.go_on(subscription)

    topology, collect = Topology(), Next()
    topology.add("first", lambda: Numbers(3))
    topology.add("second", lambda: Numbers(2))
    topology.add("next", lambda: collect, subscribe_to="first")
    assert (await topology.run()).is_fine
    assert (collect.events, collect.completions) == ([1, 2, 3, 1, 2], 1)


async def test_subscriptions_that_cannot_be_are_refused_in_one_sentence() -> None:
    topology, silent = Topology(), Silent()
    numbers = topology.add("numbers", lambda: silent)
    first = topology.add("first", Pass, subscribe_to="numbers")
    second = topology.add("second", Pass, subscribe_to=first)
    collect = topology.add("collect", Collect, subscribe_to=second)
    later = topology.add("later", Collect, subscribe_to=None)
    with pytest.raises(NoProcess):
        later.subscribe("numbers")
    await topology.start()
    handles: dict[str, StageHandle[Stage]] = {"numbers": numbers, "first": first, "collect": collect}
    for consumer, producer, sentence in (
        ("numbers", "first", "'numbers' is a producer and subscribes to 'first'"),
        ("first", "collect", "'first' subscribes to 'collect', which is a consumer"),
        ("first", "number", "subscribes to 'number', which does not exist; did you mean 'numbers'"),
        ("first", "numbers", "'first' subscribes to 'numbers' twice; once is enough"),
        ("first", "second", "part of a circle"),
        ("collect", ("numbers", 5), "which names no stage"),
    ):
        with pytest.raises(GraphError, match=sentence):
            handles[consumer].subscribe(producer)  # type: ignore[arg-type] # one of them is wrong on purpose
    with pytest.raises(DemandError):
        later.subscribe(SubscribeTo("numbers", max_demand=0))
    silent.complete()
    assert (await topology.join()).is_fine
    for dead in (later.subscribe, first.subscribe):
        with pytest.raises(NoProcess):
            dead("numbers")


async def test_a_run_ends_though_a_consumer_never_subscribed() -> None:
    topology = Topology()
    topology.add("numbers", lambda: Numbers(3))
    topology.add("collect", Collect, subscribe_to="numbers")
    topology.add("pass", Pass, subscribe_to=None)
    topology.add("later", Collect, subscribe_to="pass")
    outcome = await topology.run()
    assert outcome.is_fine


async def test_a_run_ends_when_all_that_took_a_stages_events_have_ended() -> None:
    class TakesThree(Collect):
        def handle_events(self, events: list[object]) -> None:
            super().handle_events(events)
            if len(self.events) >= 3:
                self.stop()

    topology, takes = Topology(), TakesThree()
    topology.add("numbers", Numbers)  # it never ends by itself
    topology.add("pass", Pass, subscribe_to="numbers")
    topology.add("takes", lambda: takes, subscribe_to=SubscribeTo("pass", max_demand=3, min_demand=2))
    outcome = await topology.run()
    assert outcome.reason is None
    assert takes.events == [1, 2, 3]
    check_over(run_of(topology))


async def test_demand_changes_while_running() -> None:
    topology, gated, other, silent = Topology(), Gated(), Collect(), Silent()
    topology.add("silent", lambda: silent)
    handle = topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("silent", max_demand=10, min_demand=5))
    topology.add("other", lambda: other, subscribe_to=SubscribeTo("silent", max_demand=1))
    await topology.start()
    await settled(topology)
    (subscription,) = handle.subscriptions()
    subscription.change(30)
    await settled(topology)
    assert silent.demand_by_consumer() == {"gated": 30, "other": 1}
    subscription.change(4, 1)
    assert silent.demand_by_consumer() == {"gated": 4, "other": 1}
    assert subscription.outstanding == 4
    await settled(topology)
    assert sum(silent.demands) == 31  # what was told is owed, and is not told again
    with pytest.raises(DemandError):
        subscription.change(4, 4)
    silent.emit_nowait(list(range(31)))
    await settled(topology)
    assert run_of(topology).processes["gated"].is_busy
    gated.gate.set()
    await topology.drain()
    assert {*gated.events, *other.events} == set(range(31))
    assert len(gated.events) + len(other.events) == 31
    check_over(run_of(topology))


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_smaller_window_holds_at_once_and_for_good(*, by_hand: bool) -> None:
    topology, told, silent = Topology(), Told("manual" if by_hand else None), Silent()
    collect = TellingCollect(told)
    topology.add("silent", lambda: silent)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("silent", max_demand=100))
    await topology.start()
    await settled(topology)
    (subscription,) = told.handles
    if by_hand:
        subscription.ask(100)
    subscription.change(6, 3)
    assert (subscription.outstanding, subscription.is_manual) == (6, by_hand)
    silent.emit_nowait(list(range(20)))
    await settled(topology)
    assert collect.events == list(range(6 if by_hand else 20))
    assert by_hand or max(map(len, collect.batches)) == 3
    await topology.stop()
    check_over(run_of(topology))


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_consumer_may_ask_while_it_is_told_of_its_subscription(*, is_async: bool) -> None:
    class Limited(Collect):
        def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> object:
            subscription.ask(2)
            subscription.ask(1)
            return self.later() if is_async else "manual"

        async def later(self) -> str:
            return "manual"

    topology, limited = Topology(), Limited()
    topology.add("numbers", Numbers)
    topology.add("limited", lambda: limited, subscribe_to="numbers")
    await topology.start()
    await settled(topology)
    assert limited.batches == [[1, 2, 3]]
    await topology.stop()


async def test_a_consumer_that_asks_there_has_to_answer_manual() -> None:
    class Forgets(Collect):
        def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> None:
            subscription.ask(2)

    topology = Topology(max_restarts=0)
    topology.add("numbers", Numbers)
    topology.add("forgets", Forgets, subscribe_to="numbers")
    with pytest.raises(StartFailed, match='was asked on by hand: return "manual" from handle_subscribe'):
        await topology.start()


class GatedBatches(Gated):
    """Keeps the batches, too."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[object]] = []

    async def handle_events(self, events: list[object]) -> None:
        self.batches.append(list(events))
        await super().handle_events(events)


async def test_what_is_queued_after_the_producer_cancels_comes_in_batches_as_before() -> None:
    told = Told()
    topology, silent, gated = Topology(), TellingSilent(told), GatedBatches()
    topology.add("silent", lambda: silent)
    to = SubscribeTo("silent", max_demand=100, min_demand=90, cancel="temporary")
    handle = topology.add("gated", lambda: gated, subscribe_to=to)
    topology.add("idle", Collect, subscribe_to=SubscribeTo("silent", max_demand=1))
    await topology.start()
    await settled(topology)
    silent.emit_nowait(list(range(95)))
    await gated.entered.wait()
    (subscription,) = handle.subscriptions()
    next(one for one in told.handles if one.consumer == "gated").cancel()
    assert (subscription.is_alive, subscription.is_manual) == (False, False)
    gated.gate.set()
    await settled(topology)
    assert [len(batch) for batch in gated.batches] == [10] * 9 + [5]
    assert gated.events == list(range(95))
    await topology.stop()


@pytest.mark.parametrize(
    ("to", "error"),
    [
        (SubscribeTo("numbers", max_demand=0), DemandError),
        (SubscribeTo("numbers", weight=2), SubscriptionError),
        ("nobody", GraphError),
        ("ended", NoProcess),
        ("other", GraphError),
    ],
)
@pytest.mark.parametrize("dispatcher", ["demand", "broadcast"])
async def test_a_resubscription_that_is_refused_changes_nothing(
    to: SubscribeTo | str, error: type[Exception], dispatcher: str
) -> None:
    topology, silent, collect = Topology(cancel="temporary"), Silent(), Collect()
    topology.add("numbers", lambda: silent, settings=StageSettings(dispatcher=dispatcher))
    topology.add("ended", lambda: Numbers(0))
    topology.add("other", Silent)
    handle = topology.add("collect", lambda: collect, subscribe_to=["numbers", "other", "ended"])
    await topology.start()
    await settled(topology)
    subscription = next(one for one in handle.subscriptions() if one.producer == "numbers")
    with pytest.raises(error):
        subscription.resubscribe(to)
    assert subscription.is_alive
    assert subscription.outstanding == 1000
    await settled(topology)
    silent.emit_nowait([1, 2])
    await settled(topology)
    assert collect.events == [1, 2]
    again = subscription.resubscribe(SubscribeTo("numbers", max_demand=7))
    assert (subscription.is_alive, again.outstanding) == (False, 7)
    await topology.stop()


async def test_a_selector_is_asked_once_however_often_its_consumer_resubscribes() -> None:
    asked: list[object] = []

    def selects(event: object) -> bool:
        asked.append(event)
        return True

    topology, silent, collect = Topology(), Silent(), Collect()
    topology.add("silent", lambda: silent, settings=StageSettings(dispatcher="broadcast"))
    handle = topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("silent", selector=selects))
    await topology.start()
    (subscription,) = handle.subscriptions()
    for _ in range(1200):
        subscription = subscription.resubscribe()
    await settled(topology)
    silent.emit_nowait([1])
    await settled(topology)
    assert asked == collect.events == [1]
    await topology.stop()


@pytest.mark.parametrize("mode", ["manual", "automatic"])
async def test_what_is_asked_for_right_after_subscribing_is_kept(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    class Hand(Collect):
        def handle_subscribe(self, side: str, to: SubscribeTo, subscription: SubscriptionHandle) -> str:
            return mode

    topology, hand = Topology(), Hand()
    source = topology.add("source", Inbox[int])
    handle = topology.add("hand", lambda: hand, subscribe_to=None)
    await topology.start()
    await source.emit([1, 2, 3])
    subscription = handle.subscribe(SubscribeTo("source", max_demand=4))
    subscription.ask(1)
    subscription.ask(1)
    with pytest.raises(DemandError):
        subscription.ask(3)
    await settled(topology)
    assert hand.events == ([1, 2] if mode == "manual" else [1, 2, 3])
    assert ("asks by itself" in caplog.text) is (mode == "automatic")
    assert run_of(topology).processes["hand"].restarts == 0
    await topology.stop()
