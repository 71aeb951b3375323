"""A user's dispatcher with a bug: one of its methods raises on a chosen event or call, as often as a test says."""

from typing import Literal

from headrace.pipeline.dispatchers.demand import DemandDispatcher
from headrace.pipeline.dispatchers.dispatcher import Delivery, S

Slip = Literal["dispatch", "late", "host", "unmet", "asked", "less", "cancelled", "early"]
"""Where it raises: before anything has changed, after demand was lowered, after an event was discarded; else."""


class FailingDispatcher(DemandDispatcher[S]):
    """A demand dispatcher that raises `errors`, one each time that it comes to `slip`; in `dispatch` on event `at`."""

    is_plain_with_one = False

    def __init__(self, slip: Slip, *errors: BaseException, at: object = None) -> None:
        super().__init__()
        self.slip = slip
        self.errors = list(errors)
        self.at = at

    def _raise(self, slip: Slip) -> None:
        if self.slip == slip and self.errors:
            raise self.errors.pop(0)

    def asked(self, share: S, demand: int) -> None:
        self._raise("asked" if demand > 0 else "less")
        super().asked(share, demand)

    def cancelled(self, share: S, unbegun: list[object], ingested_at: float) -> list[object]:
        self._raise("early")
        back = super().cancelled(share, unbegun, ingested_at)
        self._raise("cancelled")
        return back

    def unmet(self) -> int:
        self._raise("unmet")
        return super().unmet()

    def dispatch(self, events: list[object], ingested_at: float) -> tuple[list[Delivery[S]], int]:
        is_at = self.at is None or self.at in self.context.data(events)
        if events and is_at:
            self._raise("dispatch")
            if self.slip == "host" and self.errors:
                self.context.discard(events[:1], "unrouted")
                self.context.fail(events[1], ValueError("told to the host"))
                self._raise("host")
        deliveries, used = super().dispatch(events, ingested_at)
        if deliveries and is_at:
            self._raise("late")
        return deliveries, used
