"""Broadcast dispatcher: every event to every subscriber, at the pace of the slowest."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.pipeline.dispatchers.broadcast import BroadcastDispatcher
from tests.fakes.shares import Share


def _is_third(event: object) -> bool:
    return isinstance(event, int) and event % 3 == 0


class BroadcastMachine(RuleBasedStateMachine):
    """Subscribers with and without a selector come, ask and leave, and events come, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.dispatcher: BroadcastDispatcher[Share] = BroadcastDispatcher()
        self.shares: list[Share] = []
        self.since: dict[int, int] = {}
        self.next = 0

    @precondition(lambda self: len(self.shares) < 4)
    @rule(has_selector=st.booleans())
    def subscribe(self, has_selector: bool) -> None:  # noqa: FBT001
        share = Share(selector=_is_third if has_selector else None)
        self.shares.append(share)
        self.since[id(share)] = self.next
        self.dispatcher.subscribed(share)
        assert self.dispatcher.unmet() == 0

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
        assert self.dispatcher.cancelled(share, [], 0.0) == []

    @rule(count=st.integers(0, 25))
    def dispatch(self, count: int) -> None:
        events: list[object] = list(range(self.next, self.next + count))
        unmet = self.dispatcher.unmet()
        deliveries, used = self.dispatcher.dispatch(events, 1.0)
        assert used >= min(count, unmet)
        assert used == count or self.dispatcher.unmet() == 0
        portions = [portion for _, portion, _ in deliveries]
        assert len({id(portion) for portion in portions}) == len(portions)
        for share, portion, _ in deliveries:
            assert portion
            share.got += portion
        self.next += used

    @invariant()
    def everyone_gets_every_event_that_its_selector_takes(self) -> None:
        for share in self.shares:
            selects = share.selector or (lambda _: True)
            assert share.got == [event for event in range(self.since[id(share)], self.next) if selects(event)]

    @invariant()
    def delivered_never_exceeds_asked_and_the_slowest_sets_the_pace(self) -> None:
        assert all(share.pending == share.asked - len(share.got) >= 0 for share in self.shares)
        assert self.dispatcher.unmet() == min((share.pending for share in self.shares), default=0)


BroadcastMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestBroadcastDispatcher = BroadcastMachine.TestCase


def test_each_subscriber_gets_a_list_of_its_own() -> None:
    dispatcher: BroadcastDispatcher[Share] = BroadcastDispatcher()
    events: list[object] = [1, 2]
    for share in (Share(), Share()):
        dispatcher.subscribed(share)
        dispatcher.asked(share, 2)
    first, second = (portion for _, portion, _ in dispatcher.dispatch(events, 1.0)[0])
    first.clear()
    assert (second, events) == ([1, 2], [1, 2])


def test_events_that_a_subscriber_had_not_begun_are_not_for_another() -> None:
    assert not BroadcastDispatcher.can_redeliver
