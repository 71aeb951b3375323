"""The dispatcher protocol: state and events in, deliveries out. It sends nothing and knows no event loop."""

from collections.abc import Callable, Hashable, Sequence
from typing import Final, Protocol, TypeVar

UNROUTED: Final = "unrouted"
"""Why a dispatcher drops events that no consumer gets, by a rule of its own."""


class SubscribeOptions(Protocol):
    """The options of a consumer for its producer's dispatcher; None and 1 are the defaults."""

    @property
    def selector(self) -> Callable[[object], bool] | None:
        """Whether an event is for it; asked by a broadcasting dispatcher."""

    @property
    def partition(self) -> Hashable | None:
        """Which partition is its own."""

    @property
    def weight(self) -> int:
        """How many times as much it gets as one of weight 1."""


class Subscriber(SubscribeOptions, Protocol):
    """A subscriber with its unmet demand, `pending`."""

    pending: int


S = TypeVar("S", bound=Subscriber)

Delivery = tuple[S, list[object], float]
"""A subscriber, the events for it (a list of its own, in order, at most what it has pending), and when the source
took in the first of them."""


class DispatchContext(Protocol):
    """The stage behind a dispatcher: it counts the events that are not delivered."""

    def data(self, events: list[object]) -> list[object]:
        """Return the data for functions on events: the events themselves, or the data of their messages."""

    def discard(self, events: list[object], reason: str) -> None:
        """Count events that go no further; `unrouted` ones are done with, all others have failed."""

    def fail(self, event: object, error: BaseException) -> None:
        """Count one event that failed; it is logged once per class of error."""

    def warn(self, sentence: str) -> None:
        """Write a warning about the stage to the log."""

    def reached(self, message: object) -> None:
        """Called when all events before a marker were delivered or discarded."""


class Dispatcher(Protocol[S]):
    """Decides which subscriber gets an event. Subclass it, and leave out what does not concern yours.

    Guarantees in: `asked` gets all that a subscriber has asked for since the last time, as one sum; `cancelled`
    subscribers are never named again. Duties out: a delivery is at most its subscriber's `pending`, which the
    dispatcher lowers by the size of the delivery; events are used up from the head, and each is then delivered, held,
    or passed to `context`.
    """

    can_redeliver: bool = True
    """Whether events that a subscriber had not begun may go to another: true where each has one receiver."""

    is_plain_with_one: bool = False
    """Whether one subscriber without a selector gets all events as they come, without the dispatcher.

    The dispatcher then gets none of its demand, but for its `pending` when a second subscriber comes.
    """

    queued: int = 0
    """How many events the dispatcher holds. Those that hold some have one receiver for each event."""

    context: DispatchContext
    """The stage behind, from `begin` on."""

    def begin(self, context: DispatchContext) -> None:
        """Store the stage behind it; called once, before all else."""
        self.context = context

    def option_error(self, options: SubscribeOptions) -> str | None:
        """Return why a consumer with these options cannot subscribe, and what to do; None when it can."""
        return None

    def subscribed(self, subscriber: S) -> None:
        """Take in a new subscriber; it has asked for nothing yet."""

    def cancelled(self, subscriber: S, unbegun: list[object], ingested_at: float) -> list[object]:
        """Forget a subscriber, and all that it had asked for.

        `unbegun` are the events that it had got and not begun, oldest first; empty unless `can_redeliver`. Return the
        ones that go before all that is buffered; the dispatcher may hold the rest.
        """
        return unbegun

    def asked(self, subscriber: S, demand: int) -> None:
        """Raise the `pending` of `subscriber` by `demand`; below 0 when demand is withdrawn."""

    def unmet(self) -> int:
        """Return how many events the producer should be working on: so many can be used up, whatever they are."""

    def dispatch(self, events: list[object], ingested_at: float) -> tuple[Sequence[Delivery[S]], int]:
        """Deliver held events, then from the head of `events`; return the deliveries and how many were used up.

        When it raises, the stage crashes, `events` are discarded, and each subscriber's `pending` is set back.
        """

    def add_marker(self, message: object) -> bool:
        """Put a message behind all that is held, and call `context.reached` when it is due; True when none is held."""
        return True

    def drain(self, *, is_unreachable_only: bool = False) -> list[object]:
        """Remove and return the held events: all of them at the stage's end.

        With `is_unreachable_only` the stage drains: events without a subscriber go, now and from now on.
        """
        return []


def unsupported_option(options: SubscribeOptions, *supported: str) -> str | None:
    """Return why a dispatcher that only knows the options `supported` refuses a consumer; None when it does not.

    >>> from types import SimpleNamespace
    >>> options = SimpleNamespace(selector=None, partition=None, weight=3)
    >>> unsupported_option(options, "weight"), unsupported_option(options)
    (None, 'a weight means something to a weighted dispatcher only: leave it out, or change the dispatcher')
    """
    if options.weight < 1:
        return f"its weight is {options.weight}: it must be a whole number, 1 or more"
    given = {
        "selector": (options.selector is not None, "a selector", "a broadcast dispatcher"),
        "partition": (options.partition is not None, "a partition", "a partition dispatcher"),
        "weight": (options.weight != 1, "a weight", "a weighted dispatcher"),
    }
    for name, (is_given, what, whose) in given.items():
        if is_given and name not in supported:
            return f"{what} means something to {whose} only: leave it out, or change the dispatcher"
    return None
