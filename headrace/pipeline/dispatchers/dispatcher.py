"""What a dispatcher is: state and events in, deliveries out. It sends nothing and knows no event loop."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar


class Share(Protocol):
    """One subscriber's part: what it has asked for and not yet been sent."""

    pending: int
    selector: Callable[[object], bool] | None


S = TypeVar("S", bound=Share)

Delivery = tuple[S, list[object]]
"""A subscriber, and the events that are for it: a list of its own, in order, at most what it has pending."""


class Dispatcher(Protocol[S]):
    """Decides which subscriber gets an event.

    Guarantees in: `asked` is told all that a share has asked for since the last time, as one sum; `cancelled` shares
    are never named again. Duties out: a delivery is at most its share's `pending`, which the dispatcher lowers by what
    it delivers.
    """

    @property
    def takes_back(self) -> bool:
        """Whether events that a subscriber had not begun may go to another: true where each has one receiver."""

    def subscribed(self, share: S) -> None:
        """Take in a new subscriber; it has asked for nothing yet."""

    def cancelled(self, share: S) -> None:
        """Forget a subscriber, and all that it had asked for."""

    def asked(self, share: S, demand: int) -> None:
        """Raise what `share` has pending by `demand`."""

    def unmet(self) -> int:
        """Return how many events could be delivered now; what the producer should be working on."""

    def dispatch(self, events: list[object]) -> tuple[Sequence[Delivery[S]], int]:
        """Deliver from the head of `events`; return the deliveries and how many of the events they used up."""
