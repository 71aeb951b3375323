"""Round-robin dispatcher: one by one, in turn, and nobody who misses events is passed over."""

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pipeline.dispatchers.round_robin import RoundRobinDispatcher
from tests.fakes.dealing import Dealer, deal
from tests.fakes.shares import Share


def _next_in_turn(dealer: Dealer) -> Share | None:
    """Return whose turn it is, or nobody when the first in line misses nothing, and keeps its place."""
    share = next(share for share in dealer.line if dealer.missing[share.name])
    place = dealer.line.index(share) + 1
    dealer.line = dealer.line[place:] + dealer.line[:place]
    return share


@settings(max_examples=400)
@given(st.data())
def test_a_batch_is_dealt_as_event_by_event_would_be(data: st.DataObject) -> None:
    deal(data, Dealer(RoundRobinDispatcher(), _next_in_turn, is_strict=True))


@given(st.lists(st.integers(1, 7), min_size=1, max_size=40), st.integers(2, 5))
def test_all_who_keep_asking_get_the_same(batches: list[int], consumers: int) -> None:
    dispatcher: RoundRobinDispatcher[Share] = RoundRobinDispatcher()
    shares = [Share(str(number)) for number in range(consumers)]
    for share in shares:
        dispatcher.subscribed(share)
        dispatcher.asked(share, 1000)
    got = dict.fromkeys((share.name for share in shares), 0)
    for size in batches:
        for share, portion, _ in dispatcher.dispatch([None] * size, 0.0)[0]:
            got[share.name] += len(portion)
    assert max(got.values()) - min(got.values()) <= 1


def test_one_with_a_little_demand_is_served_before_one_with_much_is_filled() -> None:
    """GenStage fills the one with the highest demand first."""
    dispatcher: RoundRobinDispatcher[Share] = RoundRobinDispatcher()
    greedy, modest = Share("greedy"), Share("modest")
    for share, demand in ((greedy, 1000), (modest, 1)):
        dispatcher.subscribed(share)
        dispatcher.asked(share, demand)
    deliveries, _ = dispatcher.dispatch([1, 2, 3], 0.0)
    assert [(share.name, portion) for share, portion, _ in deliveries] == [("greedy", [1, 3]), ("modest", [2])]
