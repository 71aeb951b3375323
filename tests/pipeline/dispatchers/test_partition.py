"""Partition dispatcher: each event to its own partition, in order, and none of them grows beyond its bound."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.errors import DispatcherError, UnknownPartition
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from tests.fakes.hosts import Notes
from tests.fakes.shares import Share


def _partition(event: object) -> int | None:
    """Return 0, 1 or 2 for most numbers; None for some, and 9, which is no partition, for others; or fail."""
    assert isinstance(event, int)
    if event % 11 == 10:
        raise KeyError(event)
    return None if event % 7 == 6 else 9 if event % 13 == 12 else event % 3


class PartitionMachine(RuleBasedStateMachine):
    """Subscribers of three partitions come, ask and leave, and events and marks come, in any order."""

    @initialize(max_queue=st.integers(1, 8))
    def begin(self, max_queue: int) -> None:
        self.max_queue = max_queue
        self.notes = Notes()
        self.dispatcher: PartitionDispatcher[Share] = PartitionDispatcher(3, hash=_partition, max_queue=max_queue)
        self.dispatcher.begin(self.notes)
        self.shares: list[Share] = []
        self.delivered: dict[int, list[int]] = {0: [], 1: [], 2: []}
        self.next = 0
        self.overfull = 0
        self.marks: dict[str, int] = {}

    def _send(self, events: list[object]) -> int:
        deliveries, used = self.dispatcher.dispatch(events, 1.0)
        for share, portion, _ in deliveries:
            assert portion
            assert isinstance(share.partition, int)
            share.got += portion
            self.delivered[share.partition] += [event for event in portion if isinstance(event, int)]
        return used

    @precondition(lambda self: len(self.shares) < 6)
    @rule(partition=st.integers(0, 2))
    def subscribe(self, partition: int) -> None:
        share = Share(partition=partition)
        assert self.dispatcher.option_error(share) is None
        self.shares.append(share)
        self.dispatcher.subscribed(share)

    @precondition(lambda self: self.shares)
    @rule(data=st.data(), demand=st.integers(1, 10))
    def ask(self, data: st.DataObject, demand: int) -> None:
        share = data.draw(st.sampled_from(self.shares))
        share.asked += demand
        self.dispatcher.asked(share, demand)
        self._send([])

    @precondition(lambda self: self.shares)
    @rule(data=st.data(), unbegun=st.integers(0, 3))
    def leave(self, data: st.DataObject, unbegun: int) -> None:
        """Leave, and give back the last events that came, as far as they are the partition's last."""
        share = data.draw(st.sampled_from(self.shares))
        assert isinstance(share.partition, int)
        line = self.delivered[share.partition]
        back: list[object] = []
        while share.got and line and len(back) < unbegun and line[-1] == share.got[-1]:
            back.insert(0, share.got.pop())
            line.pop()
        self.overfull += len(back)
        self.shares.remove(share)
        assert self.dispatcher.cancelled(share, back, 1.0) == []
        self._send([])

    @rule(count=st.integers(0, 25), beyond=st.booleans())
    def emit(self, count: int, beyond: bool) -> None:  # noqa: FBT001
        """Emit what was asked for, or more than that."""
        unmet = self.dispatcher.unmet()
        count = count if beyond else min(count, unmet)
        events: list[object] = list(range(self.next, self.next + count))
        used = self._send(events)
        assert used >= min(count, unmet)
        self.next += used

    @rule()
    def mark(self) -> None:
        name = f"{self.next}.{len(self.marks)}"
        self.marks[name] = self.next
        if self.dispatcher.add_marker(name):
            self.notes.messages.append(name)

    @invariant()
    def each_partition_has_its_own_in_order_or_holds_them(self) -> None:
        if not hasattr(self, "dispatcher"):
            return
        failed = [event for event, _ in self.notes.failed]
        unrouted = self.notes.discarded.get("unrouted", [])
        routed: dict[int, list[int]] = {0: [], 1: [], 2: []}
        for event in range(self.next):
            if event not in failed and event not in unrouted:
                routed[event % 3].append(event)
        for name, partition in self.dispatcher._partitions.items():
            assert isinstance(name, int)
            held = [event for chunk in partition.queue._chunks for event in chunk.events][partition.queue._offset :]
            assert self.delivered[name] + held == routed[name]
        assert self.dispatcher.queued == sum(map(len, routed.values())) - sum(map(len, self.delivered.values()))

    @invariant()
    def what_goes_nowhere_is_told(self) -> None:
        if not hasattr(self, "dispatcher"):
            return
        numbers = range(self.next)
        assert sorted(map(str, self.notes.discarded.get("unrouted", []))) == sorted(
            str(number) for number in numbers if number % 7 == 6 and number % 11 != 10
        )
        kinds = {event: type(error) for event, error in self.notes.failed}
        assert kinds == {
            number: KeyError if number % 11 == 10 else UnknownPartition
            for number in numbers
            if number % 11 == 10 or (number % 13 == 12 and number % 7 != 6)
        }

    @invariant()
    def none_holds_more_than_it_may(self) -> None:
        if not hasattr(self, "dispatcher"):
            return
        sizes = [partition.queue.size for partition in self.dispatcher._partitions.values()]
        assert max(sizes) <= self.max_queue + self.overfull
        missing = sum(share.asked - len(share.got) for share in self.shares if share.pending)
        assert missing >= 0
        assert self.dispatcher.unmet() == min(
            sum(share.pending for share in self.shares), max(0, self.max_queue - max(sizes))
        )

    @invariant()
    def a_mark_is_reached_when_all_before_it_has_gone(self) -> None:
        if not hasattr(self, "dispatcher"):
            return
        held = [
            event
            for partition in self.dispatcher._partitions.values()
            for event in [event for chunk in partition.queue._chunks for event in chunk.events][
                partition.queue._offset :
            ]
            if isinstance(event, int)
        ]
        for name, place in self.marks.items():
            if name not in self.notes.messages:
                assert any(event < place for event in held)
        assert len(set(self.notes.messages)) == len(self.notes.messages)


PartitionMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestPartitionDispatcher = PartitionMachine.TestCase


def _dispatcher(*partitions: int) -> tuple[PartitionDispatcher[Share], Notes, list[Share]]:
    notes = Notes()
    dispatcher: PartitionDispatcher[Share] = PartitionDispatcher(2, max_queue=4)
    dispatcher.begin(notes)
    shares = [Share(str(number), partition=partition) for number, partition in enumerate(partitions)]
    for share in shares:
        dispatcher.subscribed(share)
    return dispatcher, notes, shares


def test_skew_neither_grows_without_bound_nor_takes_from_the_others() -> None:
    """GenStage sends every ask upstream at once, and what is for a slow partition piles up."""
    dispatcher, _, (even, _) = _dispatcher(0, 1)
    dispatcher.asked(even, 100)
    got: list[object] = []
    told = 0
    while demand := dispatcher.unmet():
        events: list[object] = list(range(told, told + demand))
        told += demand
        deliveries, used = dispatcher.dispatch(events, 0.0)
        assert used == demand
        got += [event for _, portion, _ in deliveries for event in portion]
    assert got == list(range(0, told, 2))
    assert (told, dispatcher.queued) == (8, 4)


def test_several_consumers_share_a_partition() -> None:
    """A second one crashes GenStage's producer."""
    dispatcher, _, shares = _dispatcher(0, 0, 1)
    for share in shares:
        dispatcher.asked(share, 2)
    deliveries, used = dispatcher.dispatch([0, 2, 4, 6, 1], 0.0)
    assert used == 5
    assert [(share.name, portion) for share, portion, _ in deliveries] == [("0", [0, 2]), ("1", [4, 6]), ("2", [1])]


def test_what_waits_goes_to_the_next_consumer_of_its_partition() -> None:
    """GenStage drops a partition's queue with its consumer."""
    dispatcher, _, (odd,) = _dispatcher(1)
    dispatcher.dispatch([1, 3], 0.0)
    assert dispatcher.cancelled(odd, [], 0.0) == []
    heir = Share("heir", partition=1)
    dispatcher.subscribed(heir)
    dispatcher.asked(heir, 5)
    assert [portion for _, portion, _ in dispatcher.dispatch([], 0.0)[0]] == [[1, 3]]


def test_a_partition_that_nobody_takes_is_named_once() -> None:
    dispatcher, notes, (even,) = _dispatcher(0)
    dispatcher.asked(even, 9)
    for number in (1, 3):
        dispatcher.dispatch([number], 0.0)
    assert len(notes.said) == 1
    assert "nobody subscribes to its partition 1" in notes.said[0]


def test_a_drain_drops_what_nobody_is_left_to_take() -> None:
    dispatcher, notes, (even,) = _dispatcher(0)
    dispatcher.dispatch([1, 2, 3], 0.0)
    assert dispatcher.drain(is_unreachable_only=True) == [1, 3]
    dispatcher.dispatch([5, 6], 0.0)
    assert notes.discarded["cancelled"] == [5]
    assert dispatcher.queued == 2
    dispatcher.cancelled(even, [], 0.0)
    assert (notes.discarded["cancelled"], dispatcher.queued) == ([5, 2, 6], 0)


@pytest.mark.parametrize(
    ("partitions", "options", "why"),
    [
        (0, {}, "needs partitions, 1 or more"),
        ((), {}, "needs partitions, 1 or more"),
        (-3, {}, "needs partitions, 1 or more"),
        (("a", "a"), {"hash": str}, "a name of its own"),
        (("a", None), {"hash": str}, "None is none"),
        (("a", "b"), {}, "give hash"),
        (None, {}, "needs partitions, 1 or more"),
        (1.5, {}, "needs partitions, 1 or more"),
        (([],), {"hash": str}, "is no name of a partition"),
        (2, {"max_queue": 0}, "has a max_queue of 0"),
        (2, {"max_queue": "9"}, "has a max_queue of '9'"),
        (2, {"hash": 5}, "has 5 for a hash: give a function"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_made(partitions: object, options: dict[str, object], why: str) -> None:
    with pytest.raises(DispatcherError, match=why):
        PartitionDispatcher(partitions, **options)  # type: ignore[arg-type] # the wrong thing is what is tested


@pytest.mark.parametrize(
    ("share", "why"),
    [
        (Share(), "it must say which partition is its own: give partition, one of 0, 1"),
        (Share(partition=2), "there is no partition 2: give one of 0, 1"),
        (Share(partition=1, selector=bool), "a selector means something to a broadcast dispatcher only"),
        (Share(partition=1, weight=2), "a weight means something to a weighted dispatcher only"),
    ],
)
def test_a_consumer_that_says_the_wrong_thing_is_refused(share: Share, why: str) -> None:
    dispatcher, _, _ = _dispatcher()
    assert why in str(dispatcher.option_error(share))
