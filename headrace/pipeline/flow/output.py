"""`StageOutput`: demand in, buffer first, events out; `StageDispatchContext`."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from headrace.errors import BufferOverflow, SubscriptionError
from headrace.otp.process.process import ExitReason
from headrace.pipeline.demand.buffer import Buffer, KeepPolicy
from headrace.pipeline.dispatchers.dispatcher import UNROUTED, Dispatcher, SubscribeOptions
from headrace.pipeline.flow.accumulator import DemandAccumulator
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.safe_dispatcher import SafeDispatcher
from headrace.pipeline.flow.subscription import Marker, MarkerKind, StageEnd, Subscription
from headrace.pipeline.message import Message, Outcome, acknowledge, add_pending
from headrace.telemetry.events import LOG


class OutputView(Protocol):
    """A stage's output, as its dispatcher sees it."""

    counts: StageCounts
    is_acknowledged: bool

    def reached(self, message: object) -> None:
        """Pass a message to the owner: all events before its marker are delivered or discarded."""

    def discard(self, events: list[object], reason: str) -> None:
        """Count events that go no further as failed."""


class StageDispatchContext:
    """The context that a stage's output gives its dispatcher.

    `accounted` are the events that the dispatcher has discarded or failed since the list was cleared: should it raise,
    they are not counted twice.
    """

    __slots__ = ("_output", "accounted")

    def __init__(self, stage_output: OutputView) -> None:
        self._output = stage_output
        self.accounted: list[object] = []

    def data(self, events: list[object]) -> list[object]:
        """Return the events, or on edges that carry messages their data."""
        if not self._output.is_acknowledged:
            return events
        return [event.data if isinstance(event, Message) else event for event in events]

    def discard(self, events: list[object], reason: str) -> None:
        """Count events that go no further. Unrouted messages are done, others have failed."""
        self.accounted += events
        if reason != UNROUTED:
            self._output.discard(events, reason)
            return
        counts = self._output.counts
        counts.discarded.setdefault(reason, 0)
        counts.discard(len(events), reason)
        if self._output.is_acknowledged:
            acknowledge(events, Outcome.DONE)

    def fail(self, event: object, error: BaseException) -> None:
        """Count one event that failed."""
        self.accounted.append(event)
        self._output.counts.fail(error)
        if self._output.is_acknowledged:
            acknowledge([event], Outcome.FAILED)

    def warn(self, sentence: str) -> None:
        """Write a warning to the log."""
        LOG.warning("stage %r: %s", self._output.counts.stage, sentence)

    def reached(self, message: object) -> None:
        """Pass a message to the owner: all events before its marker are delivered or discarded."""
        self._output.reached(message)


DemandMode = Literal["forward", "accumulate"]
"""Whether a stage serves demand as it comes, or holds demand and events back (GenStage's `demand`)."""


class OutputOwner(Protocol):
    """The process behind a stage's output."""

    def on_info(self, message: object) -> None:
        """Called with a message whose marker is due."""

    def dispatcher_failed(self, error: BaseException) -> None:
        """Called when the dispatcher raised."""

    def format_discarded(self, count: int) -> bool:
        """Called with the number of events that the buffer could not keep; return whether to log it."""


class StageOutput:
    """The events that a producer or producer-consumer has emitted, and the subscriptions to it.

    With one plain subscriber the dispatcher has no choice and is not called: `single` is that subscriber.
    While the stage accumulates, another dispatcher takes its place, and there is no `single`.

    Events that the buffer cannot keep are discarded; with `overflow_fails` they fail. If `is_lossy`, the stage wants
    that, and no sender is refused instead.
    """

    __slots__ = (
        "_consumers",
        "_is_down",
        "_owner",
        "_sent",
        "_single_before",
        "buffer",
        "counts",
        "dispatcher",
        "is_acknowledged",
        "is_closed",
        "is_lossy",
        "overflow_fails",
        "room_made",
        "safe_dispatcher",
        "single",
        "subscriptions",
        "waiting_messages",
    )

    def __init__(self, dispatcher: Dispatcher[Subscription], buffer: Buffer[object], counts: StageCounts) -> None:
        self.counts = counts
        self.dispatcher = dispatcher
        self.buffer = buffer
        self.subscriptions: list[Subscription] = []
        self._consumers: set[StageEnd] = set()
        self.single: Subscription | None = None
        self._sent = 0
        self._single_before = 0
        self.is_acknowledged = False
        self.is_closed = False
        self.is_lossy = False
        self.overflow_fails = False
        self.room_made: Callable[[], None] | None = None
        self.waiting_messages = 0
        self._owner: OutputOwner | None = None
        self._is_down = False
        context = StageDispatchContext(self)
        self.safe_dispatcher = SafeDispatcher(context.accounted, self._dispatcher_failed)
        dispatcher.begin(context)

    def attach(self, owner: OutputOwner) -> None:
        """Called with the process whose output this is, before events flow."""
        self._owner = owner

    def _dispatcher_failed(self, error: BaseException) -> None:
        if self._owner is not None:
            self._owner.dispatcher_failed(error)

    def check(self, consumer: StageEnd, options: SubscribeOptions, replaced: Subscription | None = None) -> None:
        """Raise `SubscriptionError` if a consumer with these options cannot subscribe, once `replaced` has ended."""
        why = self.dispatcher.option_error(options)
        is_there = consumer in self._consumers and (replaced is None or replaced not in self.subscriptions)
        if why is None and is_there and not self.dispatcher.can_redeliver:
            why = "what is broadcast goes to each consumer once, and it is subscribed already"
        if why is not None:
            raise SubscriptionError(consumer.name, self.counts.stage, "is refused", why)

    def subscribe(self, subscription: Subscription) -> None:
        """Add a subscription. Raises `SubscriptionError` if the dispatcher refuses it."""
        self.check(subscription.consumer, subscription)
        self.dispatcher.subscribed(subscription)
        self.subscriptions.append(subscription)
        self._consumers.add(subscription.consumer)
        self._choose_single()

    def leave(self, subscription: Subscription, unbegun: list[object], ingested_at: float) -> list[object]:
        """Remove a subscription with its demand; return the events of `unbegun` that cannot go to others.

        The other events count as never sent: they go to the head of the buffer, and are served at once. After the
        output has closed, no event can go to others.
        """
        if self.is_closed or subscription not in self.subscriptions:
            return unbegun
        has_single_subscriber, can_redeliver = subscription is self.single, self.dispatcher.can_redeliver
        self.subscriptions.remove(subscription)
        self._consumers.discard(subscription.consumer)
        back = self.safe_dispatcher.cancelled(
            self.dispatcher, subscription, unbegun if can_redeliver else [], ingested_at
        )
        self._choose_single()
        if not can_redeliver:
            if has_single_subscriber:
                self._sent += len(unbegun)
            return unbegun
        if not has_single_subscriber:
            self._sent -= len(unbegun)
        self.buffer.put_back(back, ingested_at)
        self._serve()
        return []

    def close_subscription(self, subscription: Subscription, marker: Marker) -> None:
        """Send a subscriber nothing more but the marker, behind all delivered events."""
        self.subscriptions.remove(subscription)
        self._consumers.discard(subscription.consumer)
        self.safe_dispatcher.cancelled(self.dispatcher, subscription, [], 0.0)
        self._choose_single()
        subscription.withdraw_demand()
        subscription.add_marker(marker)
        self._serve()

    def demand_by_consumer(self) -> dict[str, int]:
        """Return the unmet demand of each consumer, by its name."""
        missing = ((subscription, subscription.asked + subscription.pending) for subscription in self.subscriptions)
        return {subscription.consumer.name: demand for subscription, demand in missing if demand}

    def sent(self) -> int:
        """Return how many events were sent. An event that several subscribers got counts once."""
        return self._sent if self.single is None else self._sent + self.single.delivered - self._single_before

    def _choose_single(self) -> None:
        self._sent = self.sent()
        subscriptions = self.subscriptions
        is_plain = self.room_made is None and self.dispatcher.is_plain_with_one
        has_single_subscriber = is_plain and len(subscriptions) == 1 and subscriptions[0].selector is None
        if self.single is not None:
            self.single.has_single_subscriber = False
        self.single = subscriptions[0] if has_single_subscriber else None
        if self.single is not None:
            self.single.has_single_subscriber = True
            self.single.pending += self.single.asked
            self.single.asked = 0
        self._single_before = 0 if self.single is None else self.single.delivered

    def collect(self) -> int:
        """Take new demand, serve it from the buffer, and return the unmet demand."""
        self._take_asks()
        if self.room_made is not None:
            self.room_made()
        return self._unmet()

    def wait_for_room(self, room_made: Callable[[], None] | None) -> None:
        """Call `room_made` after new demand and after a resize; None when no sender waits."""
        self.room_made = room_made
        self._choose_single()

    def _take_asks(self) -> None:
        for subscription in self.subscriptions:
            if subscription.asked and not self.safe_dispatcher.is_failing:
                demand, subscription.asked = subscription.asked, 0
                self.safe_dispatcher.asked(self.dispatcher, subscription, demand)
        if self.buffer.size or self.dispatcher.queued:
            self._serve()

    def withdraw(self, subscription: Subscription, demand: int) -> None:
        """Withdraw demand that was reported to the dispatcher."""
        self.safe_dispatcher.asked(self.dispatcher, subscription, -demand)

    def _unmet(self) -> int:
        return self.safe_dispatcher.unmet(self.dispatcher)

    def emit(self, events: list[object], ingested_at: float, asked: int = 0) -> None:
        """Deliver as many events as were asked for, buffer the rest, and discard events beyond the buffer.

        Consumers had asked for the first `asked` of the events. These are kept, also where such a consumer has left.
        """
        single = self.single
        size = len(events)
        if single is not None and size <= single.pending and not self.buffer.size:
            if size:
                single.send(events, ingested_at, size)
            return
        if not self.buffer.size:
            used = self._dispatch(events, ingested_at)
            if used == size:
                return
            events = events[used:]
        self._take_asks()
        if not self.buffer.size:
            events = events[self._dispatch(events, ingested_at) :]
        dropped = self.buffer.put(events, ingested_at, asked - (size - len(events)))
        if dropped:
            self._overflow(dropped)

    def buffered(self) -> int:
        """Return how many events wait for demand, or in the queues of the dispatcher."""
        return self.buffer.size + self.dispatcher.queued

    def unhandled(self) -> int:
        """Return how many events wait or were not handled by consumers yet, each counted once."""
        sent = [subscription.unfinished() for subscription in self.subscriptions]
        return self.buffered() + (sum(sent) if self.dispatcher.can_redeliver else max(sent, default=0))

    def info(self, message: object) -> None:
        """Pass a message to the owner when all events that wait now were sent; at once when none waits.

        A delivery is cut in two at the message. It counts as no event, and is kept when events are discarded.
        """
        self.waiting_messages += 1
        if self.buffer.size:
            self.buffer.add_marker(message)
        elif self.dispatcher.add_marker(message):
            self.reached(message)

    def reached(self, message: object) -> None:
        """Pass a message to the owner: all events before its marker are delivered or discarded."""
        self.waiting_messages -= 1
        if self._owner is not None and not self._is_down:
            self._owner.on_info(message)

    def resize(self, buffer_size: int | None, keep: KeepPolicy | None) -> None:
        """Buffer at most `buffer_size` events from now on. `keep` chooses the ones that stay; others are discarded."""
        if keep is not None:
            self.is_lossy = keep != "all" and not self.overflow_fails
        dropped = self.buffer.resize(buffer_size, keep or self.buffer.keep)
        if dropped:
            self._overflow(dropped)
        if self.room_made is not None:
            self.room_made()

    def accumulate(self) -> None:
        """Hold demand and events back until `forward`. Earlier demand stays."""
        if not isinstance(self.dispatcher, DemandAccumulator):
            self.dispatcher = DemandAccumulator(self.dispatcher, self.buffer, self.safe_dispatcher)
            self._choose_single()

    def forward(self) -> int:
        """Serve the demand and the events that were held back, in the order in which they came.

        Return how many of the events came after unreported demand. The next report counts them as if they had come
        after it.
        """
        stand_in = self.dispatcher
        if not isinstance(stand_in, DemandAccumulator):
            return 0
        self._take_asks()
        ahead = stand_in.replay()
        self.dispatcher = stand_in.inner
        self._serve()
        self._choose_single()
        return ahead

    def drain(self) -> None:
        """End an accumulation, and discard events without a subscriber, now and from now on."""
        self.forward()
        self.discard(self.dispatcher.drain(is_unreachable_only=True), "cancelled")

    def _overflow(self, dropped: list[object]) -> None:
        if self.overflow_fails:
            self.counts.fail(BufferOverflow(self.counts.stage), len(dropped))
        else:
            self.counts.discard(len(dropped), "overflow", is_silent=True)
        if self.is_acknowledged:
            acknowledge(dropped, Outcome.FAILED)
        is_logged = self._owner is None or self._owner.format_discarded(len(dropped))
        if is_logged and not self.overflow_fails:
            self.counts.log_overflow()
        self._reach()

    def discard(self, events: list[object], reason: str) -> None:
        """Count events that go no further; messages among them fail."""
        self.counts.leave_outputs(events, reason)
        if self.is_acknowledged:
            acknowledge(events, Outcome.FAILED)

    def lose_unread(self, events: Sequence[object], reason: str) -> None:
        """Count events that a reader has left unread, unless other subscribers got them, too."""
        if self.dispatcher.can_redeliver:
            self._sent -= len(events)
            self.counts.leave_outputs(events, reason)

    def complete(self, *, is_draining: bool) -> bool:
        """Serve the buffer, and complete all subscriptions when it is empty; return whether it is.

        In a drain, events without a subscriber are discarded. Messages that are due are passed on first.
        """
        messages = self.waiting_messages
        self.collect()
        if is_draining:
            self.drain()
            if not self.subscriptions:
                self._discard_all("cancelled")
        if self.buffered() or messages:
            return False
        self._close(Marker(MarkerKind.COMPLETED))
        return True

    def go_down(self, reason: ExitReason) -> None:
        """Discard the buffer, and end all subscriptions with `reason`."""
        self._is_down = True
        self._discard_all("crash" if isinstance(reason, BaseException) else "cancelled")
        self._close(Marker(MarkerKind.DOWN, reason))

    def _discard_all(self, reason: str) -> None:
        """Discard all waiting events, and pass on the messages between them."""
        self.discard(self.dispatcher.drain(), reason)
        while self.buffer.size:
            left, _ = self.buffer.take(self.buffer.size)
            self.discard(left, reason)
            self._reach()

    def _close(self, marker: Marker) -> None:
        """Send each subscriber a marker behind all delivered events, and remove all subscribers."""
        self._sent = self.sent()
        self.single = None
        self.is_closed = True
        for subscription in self.subscriptions:
            subscription.add_marker(marker)
        self.subscriptions.clear()
        self._consumers.clear()

    def _serve(self) -> None:
        if self.dispatcher.queued:
            self._dispatch([], 0.0)
        while self.buffer.size:
            unmet = self._unmet()
            if unmet <= 0:
                return
            events, ingested_at = self.buffer.take(unmet)
            used = self._dispatch(events, ingested_at)
            if used < len(events):
                self.buffer.undo_take(events[used:])
                if not used:
                    return
            self._reach()

    def _reach(self) -> None:
        """Pass on the messages whose markers are due."""
        if self.buffer.markers:
            for message in self.buffer.take_markers():
                if self.dispatcher.add_marker(message):
                    self.reached(message)

    def _dispatch(self, events: list[object], ingested_at: float) -> int:
        dispatcher = self.dispatcher
        deliveries, used, lost = self.safe_dispatcher.dispatch(dispatcher, self.subscriptions, events, ingested_at)
        if lost is not None:
            self.discard(lost, "crash")
            return used
        receivers = 1 if dispatcher.can_redeliver else len(self.subscriptions)
        if self.is_acknowledged and not dispatcher.can_redeliver:
            for _, portion, _ in deliveries:
                add_pending(portion)
            acknowledge(events[:used], Outcome.DONE)
        delivered = 0
        for subscription, portion, since in deliveries:
            if subscription.ended is not None:  # the dispatcher failed to remove it
                self.discard(portion, "crash")
                continue
            delivered += len(portion)
            subscription.deliver(portion, since)
        if self.single is None:
            self._sent += delivered if dispatcher.can_redeliver else used
        if used and (delivered != used * receivers or not dispatcher.is_plain_with_one):
            self._ask_for_more()
        return used

    def _ask_for_more(self) -> None:
        """Wake the stage if demand is left: dropped events have met none of it."""
        if self.subscriptions and self._unmet() > 0:
            subscription = self.subscriptions[0]
            subscription.wake(subscription.producer_turns)
