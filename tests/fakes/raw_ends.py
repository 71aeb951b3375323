"""Two ends of a subscription that do nothing by themselves: a test asks, sends and leaves by hand."""

from collections.abc import Callable, Sequence

from headrace.otp.process.process import ExitReason
from headrace.otp.scheduler import IDLE, Scheduler, TurnTimes
from headrace.pipeline.demand.window import Window
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.flow.subscription import Marker, MarkerKind, SubscribeTo, Subscription

NO_LIMIT = 1_000_000


class _Raw:
    def __init__(self, name: str, scheduler: Scheduler) -> None:
        self.name = name
        self.scheduler = scheduler
        self.turns = TurnTimes(self, self.turn)

    def turn(self) -> int:
        return IDLE

    def fail_turn(self, error: BaseException) -> None:
        raise AssertionError from error

    def report_slow_callback(self, seconds: float) -> None:
        pass


class RawConsumer(_Raw):
    """Asks only by hand, notes each delivery, and takes all of it at once, unless it is told to let it wait."""

    def __init__(
        self,
        name: str,
        producer: StageProcess,
        selector: Callable[[object], bool] | None = None,
        to: SubscribeTo | None = None,
    ) -> None:
        super().__init__(name, producer.scheduler)
        to = SubscribeTo(producer.name, selector=selector) if to is None else to
        self.subscription = Subscription(producer, self, Window(NO_LIMIT), to, producer.scheduler)
        self.deliveries: list[list[object]] = []
        self.markers: list[Marker] = []
        self.is_taking = True
        self.asked = 0
        producer._output.subscribe(self.subscription)

    def ask(self, demand: int) -> None:
        self.asked += demand
        self.subscription.window.outstanding += demand
        self.subscription.ask(demand)

    def leave(self) -> list[object]:
        """Leave as one that dies with its queue unread; return what the producer would not take back."""
        return self.subscription.producer.on_unsubscribe(self.subscription, self.subscription.unbegun())

    @property
    def got(self) -> int:
        return sum(len(delivery) for delivery in self.deliveries)

    def turn(self) -> int:
        queue = self.subscription.queue
        while queue and self.is_taking:
            events, _ = queue.popleft()
            if events is None:
                self.markers.append(self.subscription.markers.popleft())
            else:
                self.subscription.window.outstanding -= len(events)
                self.deliveries.append(events)
        return IDLE


class RawProducer(_Raw):
    """Sends only by hand, and notes each ask in `log`."""

    def __init__(
        self,
        name: str,
        consumer: StageProcess,
        window: Window,
        to: SubscribeTo | None = None,
        log: list[str] | None = None,
    ) -> None:
        super().__init__(name, consumer.scheduler)
        self.log: list[str] = [] if log is None else log
        self.taken_back: list[object] = []
        self.subscription = Subscription(self, consumer, window, to or SubscribeTo(name), consumer.scheduler)
        consumer._input.subscribe(self.subscription)

    def send(self, events: Sequence[object]) -> None:
        self.subscription.send(list(events), self.scheduler.now, len(events))

    def complete(self) -> None:
        self.subscription.add_marker(Marker(MarkerKind.COMPLETED))

    def end(self, reason: ExitReason) -> None:
        self.subscription.add_marker(Marker(MarkerKind.DOWN, reason))

    def on_unsubscribe(self, subscription: Subscription, unbegun: list[object]) -> list[object]:
        self.taken_back += unbegun
        return []

    def demand_withdrawn(self, subscription: Subscription, demand: int) -> None:
        subscription.pending -= demand
        self.log.append(f"forgo {demand}")

    def turn(self) -> int:
        demand, self.subscription.asked = self.subscription.asked, 0
        if demand:
            self.subscription.pending += demand
            self.log.append(f"ask {demand}")
        return IDLE
