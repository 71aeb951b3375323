"""Feeds a consumer from outside of the graph: the producer's side of a subscription, without a process."""

from collections.abc import Callable
from typing import ClassVar, Protocol

from typing_extensions import override

from headrace.otp.process.process import ProcessStatus
from headrace.otp.scheduler import IDLE, Scheduler, TurnTimes
from headrace.pipeline.demand.window import Window
from headrace.pipeline.flow.subscription import Marker, MarkerKind, StageEnd, SubscribeTo, Subscription


class InjectionTarget(StageEnd, Protocol):
    """The consumer of an injector."""

    state: ProcessStatus
    scheduler: Scheduler

    def subscribed(self, subscription: Subscription) -> None:
        """Add a subscription."""


class InjectorOwner(Protocol):
    """The object that sends events by an injector, and is called when they were handled."""

    def asked(self) -> None:
        """Called when more events are wanted, or when the injector has ended."""

    def handled(self, count: int, *, is_crash: bool) -> None:
        """Called when the oldest `count` plain events were handled, or lost in a crash of the consumer."""

    def taken_back(self, events: list[object]) -> None:
        """Take back the events that were sent last and not begun: the consumer has left."""


class _InjectedSubscription(Subscription):
    """A subscription that reports each handled batch to its injector."""

    __slots__ = ("on_handled",)

    is_kept: ClassVar[bool] = True

    on_handled: Callable[[int], None]

    @override
    def handled(self, size: int) -> None:
        self.on_handled(size)
        super().handled(size)


class Injector:
    """The subscription of one consumer to an owner that is not a stage. It may be made while the consumer runs.

    The callbacks of the consumer see it like any other subscription. The consumer does not complete before the injector
    does.
    """

    def __init__(self, name: str, consumer: InjectionTarget, window: Window, owner: InjectorOwner) -> None:
        self.name = name
        self._consumer = consumer
        self._owner = owner
        self._scheduler = consumer.scheduler
        self.turns = TurnTimes(self, self._turn)
        to = SubscribeTo(name, window.max_demand, window.min_demand, "temporary")
        self._subscription = subscription = _InjectedSubscription(self, consumer, window, to, consumer.scheduler)
        subscription.on_handled = self._on_handled
        subscription.has_single_subscriber = True
        consumer.subscribed(subscription)

    @property
    def is_over(self) -> bool:
        """Whether no more events may be sent: the injector has completed, or the consumer has left."""
        return self._subscription.ended is not None

    @property
    def wanted(self) -> int:
        """The number of events that the consumer asks for."""
        return 0 if self.is_over else max(0, self._subscription.pending)

    def send(self, events: list[object]) -> None:
        """Send events, at most as many as are wanted."""
        self._subscription.send(events, self._scheduler.time(), len(events))

    def complete(self) -> None:
        """Send nothing more; sent events are still handled. A second call does nothing."""
        if not self.is_over:
            self._subscription.add_marker(Marker(MarkerKind.COMPLETED))

    def on_unsubscribe(self, subscription: Subscription, unbegun: list[object]) -> list[object]:
        """Remove the consumer, and take back its unbegun events."""
        if unbegun:
            self._owner.taken_back(unbegun)
        self._owner.asked()
        return []

    def demand_withdrawn(self, subscription: Subscription, demand: int) -> None:
        """Do nothing: `wanted` already leaves out the demand that the consumer withdraws."""

    def _on_handled(self, size: int) -> None:
        self._owner.handled(size, is_crash=self._consumer.state is not ProcessStatus.RUNNING)

    def _turn(self) -> int:
        self._owner.asked()
        return IDLE

    def fail_turn(self, error: BaseException) -> None:
        """Do nothing: this turn raises nothing."""

    def report_slow_callback(self, seconds: float) -> None:
        """Do nothing: this turn takes no time."""
