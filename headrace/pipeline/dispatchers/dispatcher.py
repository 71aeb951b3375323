"""What a dispatcher is: state and events in, deliveries out. It sends nothing and knows no event loop."""

from collections.abc import Callable, Hashable, Sequence
from typing import Final, Protocol, TypeVar

UNROUTED: Final = "unrouted"
"""Why a dispatcher drops events that nobody is to get, by a rule of its own."""


class SubscribeOptions(Protocol):
    """What a consumer says to its producer's dispatcher when it subscribes; None and 1 say nothing."""

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
    """One subscriber's part: what it has asked for and not yet been sent."""

    pending: int


S = TypeVar("S", bound=Subscriber)

Delivery = tuple[S, list[object], float]
"""A subscriber, the events for it (a list of its own, in order, at most what it has pending), and when the first of
them was born at its source."""


class DispatchContext(Protocol):
    """The stage behind a dispatcher: it is told what becomes of events that are not delivered."""

    def data(self, events: list[object]) -> list[object]:
        """Return what functions on events see: the events themselves, or what their messages hold."""

    def discard(self, events: list[object], reason: str) -> None:
        """Count events that go no further; `unrouted` ones are done with, all others have failed."""

    def fail(self, event: object, error: BaseException) -> None:
        """Count one event that failed, and say so once per class of error."""

    def warn(self, sentence: str) -> None:
        """Write a warning about the stage to the log."""

    def reached(self, message: object) -> None:
        """Take note that all that was held before a mark has gone."""


class Dispatcher(Protocol[S]):
    """Decides which subscriber gets an event. Subclass it, and leave out what does not concern yours.

    Guarantees in: `asked` is told all that a share has asked for since the last time, as one sum; `cancelled` shares
    are never named again. Duties out: a delivery is at most its share's `pending`, which the dispatcher lowers by what
    it delivers; events are used up from the head, and each is then delivered, held, or told to the host.
    """

    can_redeliver: bool = True
    """Whether events that a subscriber had not begun may go to another: true where each has one receiver."""

    is_plain_with_one: bool = False
    """Whether one subscriber without a selector gets all events as they come, so that nobody need ask the dispatcher.

    It is then not told of what that one asks, only of what it has pending when a second one comes.
    """

    queued: int = 0
    """How many events the dispatcher holds. Those that hold some have one receiver for each event."""

    context: DispatchContext
    """The stage behind, from `begin` on."""

    def begin(self, context: DispatchContext) -> None:
        """Take note of the stage behind; called once, before all else."""
        self.context = context

    def option_error(self, options: SubscribeOptions) -> str | None:
        """Return in words why a consumer that says this cannot subscribe, and what to do; None when it can."""
        return None

    def subscribed(self, subscriber: S) -> None:
        """Take in a new subscriber; it has asked for nothing yet."""

    def cancelled(self, subscriber: S, unbegun: list[object], ingested_at: float) -> list[object]:
        """Forget a subscriber, and all that it had asked for.

        `unbegun`, which it had got and not begun, oldest first, is empty unless `can_redeliver`. Return of it what is to
        go before all that is buffered; the dispatcher may hold the rest.
        """
        return unbegun

    def asked(self, subscriber: S, demand: int) -> None:
        """Raise what `subscriber` has pending by `demand`; below 0 when it does without some of it."""

    def unmet(self) -> int:
        """Return how many events the producer should be working on: so many can be used up, whatever they are."""

    def dispatch(self, events: list[object], ingested_at: float) -> tuple[Sequence[Delivery[S]], int]:
        """Deliver what is held, then from the head of `events`; return the deliveries and how many were used up.

        When it raises, the stage crashes, `events` are discarded, and each share's `pending` is set back.
        """

    def add_marker(self, message: object) -> bool:
        """Put a message behind all that is held, and tell the host when it is reached; True when nothing is held."""
        return True

    def drain(self, *, is_unreachable_only: bool = False) -> list[object]:
        """Remove and return what is held: all of it at the stage's end.

        With `is_unreachable_only` the stage drains: what has no subscriber goes, now and from now on.
        """
        return []


def unsupported_option(options: SubscribeOptions, *supported: str) -> str | None:
    """Return why a dispatcher refuses a consumer that says something of which only `supported` means anything to it.

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
