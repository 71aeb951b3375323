"""Weighted dispatcher: turns as long as the weights say, and nobody who misses events is passed over."""

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pipeline.dispatchers.weighted import WeightedDispatcher
from tests.fakes.dealing import Dealer, deal
from tests.fakes.shares import Share


def _next_by_weight(dealer: Dealer) -> Share | None:
    """Return whose turn it is, or nobody when that one misses nothing, and so loses it."""
    share = dealer.line[0]
    is_missing = dealer.missing[share.name] > 0
    if is_missing:
        dealer.left -= 1
    if not is_missing or not dealer.left or dealer.missing[share.name] == 1:
        dealer.line.append(dealer.line.pop(0))
        dealer.left = dealer.line[0].weight
    return share if is_missing else None


@settings(max_examples=400)
@given(st.data())
def test_each_gets_as_many_of_a_batch_as_event_by_event(data: st.DataObject) -> None:
    deal(data, Dealer(WeightedDispatcher(), _next_by_weight, is_strict=False), max_weight=5)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.lists(st.integers(1, 6), min_size=2, max_size=4))
def test_all_who_keep_asking_get_events_by_their_weights(batches: list[int], weights: list[int]) -> None:
    dispatcher: WeightedDispatcher[Share] = WeightedDispatcher()
    shares = [Share(str(number), weight=weight) for number, weight in enumerate(weights)]
    for share in shares:
        dispatcher.subscribed(share)
        dispatcher.asked(share, 10_000)
    got = dict.fromkeys((share.name for share in shares), 0)
    for size in batches:
        for share, portion, _ in dispatcher.dispatch([None] * size, 0.0)[0]:
            got[share.name] += len(portion)
    rounds = sum(batches) / sum(weights)
    assert all(abs(got[share.name] - rounds * share.weight) <= share.weight for share in shares)


def test_a_weight_below_one_is_refused() -> None:
    why = WeightedDispatcher[Share]().option_error(Share(weight=0))
    assert why == "its weight is 0: it must be a whole number, 1 or more"
