"""The dispatcher protocol: state and events in, deliveries out. It sends nothing and knows no event loop."""

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Final, Protocol, TypeVar

from typing_extensions import override

UNROUTED: Final = "unrouted"
"""The reason for events that a dispatcher drops by its own rule, because no consumer gets them."""


class SubscribeOptions(Protocol):
    """The options of a consumer for its producer's dispatcher; None and 1 are the defaults."""

    @property
    def selector(self) -> Callable[[object], bool] | None:
        """Returns whether an event is for this consumer; called by a broadcasting dispatcher."""

    @property
    def partition(self) -> Hashable | None:
        """The partition whose events the consumer gets."""

    @property
    def weight(self) -> int:
        """The consumer's weight: one of weight 3 gets three times as many events as one of weight 1."""


class Subscriber(SubscribeOptions, Protocol):
    """A subscriber with its unmet demand, `pending`."""

    pending: int


S = TypeVar("S", bound=Subscriber)

Delivery = tuple[S, list[object], float]
"""A subscriber, its events (a new list, in order, at most its `pending`), and the ingestion time of the first."""


class DispatchContext(Protocol):
    """The stage behind a dispatcher: it counts the events that are not delivered."""

    def data(self, events: list[object]) -> list[object]:
        """Return the events for functions of users: the events themselves, or the data of messages."""

    def discard(self, events: list[object], reason: str) -> None:
        """Count events that go no further. `unrouted` messages are done, all others have failed."""

    def fail(self, event: object, error: BaseException) -> None:
        """Count one event that failed; it is logged once per class of error."""

    def warn(self, sentence: str) -> None:
        """Write a warning about the stage to the log."""

    def reached(self, message: object) -> None:
        """Called when all events before a marker were delivered or discarded."""


class Dispatcher(Protocol[S]):
    """Decides which subscriber gets an event. Subclass it, and override the methods that your rule needs.

    The caller guarantees that `asked` gets all new demand of a subscriber as one sum, and that no call names a
    `cancelled` subscriber again. The dispatcher guarantees that a delivery has at most `pending` events of its
    subscriber, that it subtracts their number from `pending`, and that it uses events from the head: each is delivered,
    held, or passed to `context`.
    """

    can_redeliver: bool = True
    """Whether unbegun events of one subscriber may go to another: True where each event has one receiver."""

    is_plain_with_one: bool = False
    """Whether a single subscriber without a selector gets all events, without a call of the dispatcher.

    The dispatcher then gets no demand of it, except for its `pending` when a second subscriber comes.
    """

    queued: int = 0
    """The number of events that the dispatcher holds. A dispatcher that holds events has one receiver for each."""

    context: DispatchContext
    """The stage of the dispatcher, from `begin` on."""

    def begin(self, context: DispatchContext) -> None:
        """Store the stage of the dispatcher; called once, before all other methods."""
        self.context = context

    def option_error(self, options: SubscribeOptions) -> str | None:
        """Return why a consumer with these options cannot subscribe, and what to do; None when it can."""
        return None

    def subscribed(self, subscriber: S) -> None:
        """Add a subscriber, which has asked for nothing yet."""

    def cancelled(self, subscriber: S, unbegun: list[object], ingested_at: float) -> list[object]:
        """Remove a subscriber with its demand.

        `unbegun` are the delivered events that it has not begun, oldest first; empty unless `can_redeliver`. Return the
        ones that go to the head of the buffer; the dispatcher may hold the others.
        """
        return unbegun

    def asked(self, subscriber: S, demand: int) -> None:
        """Raise the `pending` of `subscriber` by `demand`; below 0 when demand is withdrawn."""

    def unmet(self) -> int:
        """Return the demand that the producer should meet: as many events can be used, whatever they are."""

    def dispatch(self, events: list[object], ingested_at: float) -> tuple[Sequence[Delivery[S]], int]:
        """Deliver held events, then from the head of `events`; return the deliveries, and how many events were used.

        When it raises, the stage crashes, `events` are discarded, and the `pending` of each subscriber is restored.
        """

    def add_marker(self, message: object) -> bool:
        """Put a message behind all held events, and call `context.reached` when it is due; True when none is held."""
        return True

    def drain(self, *, is_unreachable_only: bool = False) -> list[object]:
        """Remove and return the held events: all of them, at the end of the stage.

        With `is_unreachable_only` the stage drains: remove only events without a subscriber, now and from now on.
        """
        return []


def unsupported_option(options: SubscribeOptions, *supported: str) -> str | None:
    """Return why a dispatcher that supports only the options `supported` refuses a consumer; None when it accepts.

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


class LineDispatcher(Dispatcher[S]):
    """The base of the dispatchers that keep their subscribers in one line, and hold no events."""

    is_plain_with_one = True

    supported_options: ClassVar[tuple[str, ...]] = ()
    """The subscribe options that the dispatcher supports."""

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line: list[S] = []

    @override
    def option_error(self, options: SubscribeOptions) -> str | None:
        return unsupported_option(options, *self.supported_options)

    @override
    def subscribed(self, subscriber: S) -> None:
        self._line.append(subscriber)

    @override
    def cancelled(self, subscriber: S, unbegun: list[object], ingested_at: float) -> list[object]:
        self._line.remove(subscriber)
        return unbegun

    @override
    def asked(self, subscriber: S, demand: int) -> None:
        subscriber.pending += demand

    @override
    def unmet(self) -> int:
        return sum(subscriber.pending for subscriber in self._line)
