"""Demand dispatcher: each event to the one that misses most, and never more than was asked."""

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.pipeline.dispatchers.demand import DemandDispatcher
from tests.fakes.shares import Share


class DemandMachine(RuleBasedStateMachine):
    """Subscribers come, ask and leave, and events come, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.dispatcher: DemandDispatcher[Share] = DemandDispatcher()
        self.shares: list[Share] = []
        self.gone: list[Share] = []
        self.next = 0

    @precondition(lambda self: len(self.shares) < 5)
    @rule()
    def subscribe(self) -> None:
        share = Share()
        self.shares.append(share)
        self.dispatcher.subscribed(share)

    @precondition(lambda self: self.shares)
    @rule(data=st.data(), demand=st.integers(1, 10))
    def ask(self, data: st.DataObject, demand: int) -> None:
        share = data.draw(st.sampled_from(self.shares))
        share.asked += demand
        self.dispatcher.asked(share, demand)

    @precondition(lambda self: self.shares)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        share = data.draw(st.sampled_from(self.shares))
        self.shares.remove(share)
        self.gone.append(share)
        assert self.dispatcher.cancelled(share, [0], 0.0) == [0]

    @rule(count=st.integers(0, 25))
    def dispatch(self, count: int) -> None:
        events: list[object] = list(range(self.next, self.next + count))
        missed = {id(share): share.pending for share in self.shares}
        unmet = self.dispatcher.unmet()
        deliveries, used = self.dispatcher.dispatch(events, 1.0)
        assert used == min(count, unmet)
        assert [event for _, portion, _ in deliveries for event in portion] == events[:used]
        assert len({id(share) for share, _, _ in deliveries}) == len(deliveries)
        order = [missed[id(share)] for share, _, _ in deliveries]
        assert order == sorted(missed.values(), reverse=True)[: len(order)]
        assert all(len(portion) == missed[id(share)] for share, portion, _ in deliveries[:-1])
        for share, portion, _ in deliveries:
            assert portion
            share.got += portion
        self.next += used

    @invariant()
    def nothing_is_lost_doubled_or_out_of_order(self) -> None:
        got = [event for share in (*self.shares, *self.gone) for event in share.got]
        assert sorted(got) == list(range(self.next))  # type: ignore[type-var] # these events are numbers
        assert all(share.got == sorted(share.got) for share in self.shares)  # type: ignore[type-var] # numbers

    @invariant()
    def delivered_never_exceeds_asked(self) -> None:
        assert all(share.pending == share.asked - len(share.got) >= 0 for share in self.shares)
        assert self.dispatcher.unmet() == sum(share.pending for share in self.shares)


DemandMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestDemandDispatcher = DemandMachine.TestCase


def test_ties_go_to_the_one_that_came_first() -> None:
    dispatcher: DemandDispatcher[Share] = DemandDispatcher()
    first, second = Share("first"), Share("second")
    for share in (first, second):
        dispatcher.subscribed(share)
    for share in (second, first):
        dispatcher.asked(share, 3)
    assert [share.name for share, _, _ in dispatcher.dispatch([1, 2, 3, 4], 1.0)[0]] == ["second", "first"]


def test_events_that_a_subscriber_had_not_begun_may_go_to_another() -> None:
    assert DemandDispatcher.can_redeliver


def test_the_first_dispatch_may_break_ties_by_chance_and_still_fills_the_highest_first() -> None:
    """Otherwise many producers that start together all begin with the same consumer."""
    firsts = set()
    for seed in range(20):
        dispatcher: DemandDispatcher[Share] = DemandDispatcher(
            shuffle_demands_on_first_dispatch=True, random=Random(seed)
        )
        for name in "abcd":
            share = Share(name)
            dispatcher.subscribed(share)
            dispatcher.asked(share, 5 if name == "d" else 3)
        order = [share.name for share, _, _ in dispatcher.dispatch(list(range(14)), 0.0)[0]]
        assert order[0] == "d"
        firsts.add(order[1])
    assert firsts == {"a", "b", "c"}


def test_what_means_nothing_here_is_refused() -> None:
    dispatcher: DemandDispatcher[Share] = DemandDispatcher()
    assert dispatcher.option_error(Share()) is None
    assert "a selector means something to a broadcast dispatcher only" in str(
        dispatcher.option_error(Share(selector=bool))
    )
    assert "a partition means something to a partition dispatcher only" in str(
        dispatcher.option_error(Share(partition=0))
    )
    assert "a weight means something to a weighted dispatcher only" in str(dispatcher.option_error(Share(weight=2)))
