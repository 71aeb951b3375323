"""Stands in for a stage's dispatcher while the stage accumulates: nothing is heard, and nothing is delivered."""

from headrace.pipeline.demand.buffer import Buffer
from headrace.pipeline.dispatchers.dispatcher import Dispatcher, Wish
from headrace.pipeline.stage.subscription import Subscription


class Accumulating(Dispatcher[Subscription]):
    """Leaves asks where they are, and notes how many events were buffered when the first of them came.

    GenStage queues both in order of arrival; that one number is all that the order is needed for.
    """

    __slots__ = ("_buffer", "before", "inner", "queued", "takes_back")

    def __init__(self, inner: Dispatcher[Subscription], buffer: Buffer[object]) -> None:
        self.inner = inner
        self.takes_back = inner.takes_back
        self.queued = inner.queued
        self._buffer = buffer
        self.before: int | None = None
        """Events that were buffered before the first ask; None while nobody has asked."""

    def refusal(self, wish: Wish) -> str | None:
        """Refuse what the dispatcher itself refuses."""
        return self.inner.refusal(wish)

    def subscribed(self, share: Subscription) -> None:
        """Let the dispatcher take in a subscriber."""
        self.inner.subscribed(share)

    def cancelled(self, share: Subscription, unbegun: list[object], born: float) -> list[object]:
        """Let the dispatcher forget a subscriber."""
        back = self.inner.cancelled(share, unbegun, born)
        self.queued = self.inner.queued
        return back

    def asked(self, share: Subscription, demand: int) -> None:
        """Leave an ask with its subscription, where it can still be taken back."""
        if demand < 0:
            self.inner.asked(share, demand)
            return
        share.asked += demand
        if self.before is None:
            self.before = self._buffer.size

    def unmet(self) -> int:
        """Return 0: nothing can be delivered for now."""
        return 0

    def dispatch(self, events: list[object], born: float) -> tuple[list[tuple[Subscription, list[object], float]], int]:
        """Deliver nothing."""
        return [], 0

    def mark(self, message: object) -> bool:
        """Put a message behind what the dispatcher holds."""
        return self.inner.mark(message)

    def unload(self, *, is_unreachable_only: bool = False) -> list[object]:
        """Return what the dispatcher holds."""
        unloaded = self.inner.unload(is_unreachable_only=is_unreachable_only)
        self.queued = self.inner.queued
        return unloaded

    def ahead(self, untold: int, told: int) -> int:
        """Return how many buffered events are for asks that came before them, and that the producer was not told of.

        `told` is what subscribers missed before, `untold` what they have asked for meanwhile.
        """
        size, before = self._buffer.size, self._buffer.size if self.before is None else self.before
        left = max(0, told - size)
        return max(0, untold - max(0, before - told)) + left - max(0, told + untold - size)
