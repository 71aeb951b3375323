"""Drives a dispatcher with one receiver for each event beside a model that hands out events one by one."""

from collections.abc import Callable, Iterator

from hypothesis import strategies as st

from headrace.pipeline.dispatchers.dispatcher import Dispatcher
from tests.fakes.shares import Share


def _number(event: object) -> int:
    assert isinstance(event, int)
    return event


class Dealer:
    """A line of subscribers, and whose turn it is, told event by event as the rule says."""

    def __init__(
        self, dispatcher: Dispatcher[Share], next_one: Callable[["Dealer"], Share | None], *, is_strict: bool
    ) -> None:
        """Unless it `is_strict`, how many events each gets counts, and not which."""
        self.dispatcher = dispatcher
        self.is_strict = is_strict
        self.line: list[Share] = []
        self.expected: dict[str, list[object]] = {}
        self.missing: dict[str, int] = {}
        self.left = 0
        self.next = 0
        self._next_one = next_one

    def subscribe(self, share: Share) -> None:
        self.dispatcher.subscribed(share)
        if not self.line:
            self.left = share.weight
        self.line.append(share)
        self.expected[share.name], self.missing[share.name] = [], 0

    def ask(self, share: Share, demand: int) -> None:
        share.asked += demand
        self.missing[share.name] += demand
        self.dispatcher.asked(share, demand)

    def leave(self, share: Share) -> None:
        if self.line[0] is share and len(self.line) > 1:
            self.left = self.line[1].weight
        self.line.remove(share)
        assert self.dispatcher.cancelled(share, [0], 1.0) == [0]

    def dispatch(self, count: int) -> None:
        events: list[object] = list(range(self.next, self.next + count))
        unmet = self.dispatcher.unmet()
        assert unmet == sum(self.missing[share.name] for share in self.line)
        deliveries, used = self.dispatcher.dispatch(events, 2.0)
        assert used == min(count, unmet)
        self.next += used
        assert len({id(share) for share, _, _ in deliveries}) == len(deliveries)
        assert sorted((event for _, portion, _ in deliveries for event in portion), key=_number) == events[:used]
        for share, portion, ingested_at in deliveries:
            assert portion
            assert ingested_at == 2.0
            share.got += portion
        for event in events[:used]:
            share = next(self._turns())
            self.expected[share.name].append(event)
        for share in self.line:
            assert len(share.got) == len(self.expected[share.name])
            assert share.got == (self.expected[share.name] if self.is_strict else sorted(share.got, key=_number))
            assert share.pending == self.missing[share.name] == share.asked - len(share.got) >= 0

    def _turns(self) -> Iterator[Share]:
        while (share := self._next_one(self)) is None:
            pass
        self.missing[share.name] -= 1
        yield share


def deal(data: st.DataObject, dealer: Dealer, *, max_weight: int = 1) -> None:
    """Let subscribers come, ask and leave, and events come, in any order."""
    for number in range(data.draw(st.integers(1, 30))):
        step = data.draw(st.sampled_from(["subscribe", "ask", "ask", "leave", "dispatch", "dispatch"]))
        if step == "subscribe" and len(dealer.line) < 5:
            dealer.subscribe(Share(str(number), weight=data.draw(st.integers(1, max_weight))))
        elif step == "ask" and dealer.line:
            dealer.ask(data.draw(st.sampled_from(dealer.line)), data.draw(st.integers(1, 12)))
        elif step == "leave" and dealer.line:
            dealer.leave(data.draw(st.sampled_from(dealer.line)))
        elif step == "dispatch":
            dealer.dispatch(data.draw(st.integers(0, 40)))
