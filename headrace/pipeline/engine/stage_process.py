"""`StageProcess(input, output)`: subscriptions, pause, drain, restart."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar, cast

from typing_extensions import override

from headrace.errors import BadReturn, NoProcess
from headrace.otp.process.callbacks import is_overridden
from headrace.otp.process.mailbox import Envelope
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.scheduler import IDLE, MORE, SLOW_CALLBACK_ADVICE, Scheduler
from headrace.pipeline.engine.failure_reporter import PlainFailureReporter
from headrace.pipeline.engine.handler import ReportingHandler
from headrace.pipeline.engine.in_flight import InFlight
from headrace.pipeline.failure import PLAIN_FAILURE
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.subscription import Marker, SubscribeTo, Subscription
from headrace.pipeline.flow.subscription_handle import CancelKind, OtherSide, SubscriptionHandle
from headrace.pipeline.stage.settings import PLAIN_CONCURRENCY
from headrace.pipeline.stage.stage import Stage
from headrace.telemetry.events import LOG

S = TypeVar("S", bound=Stage)

_BUILT_IN: Final = "headrace.stages."
_BUILT_IN_ADVICE: Final = (
    "subscribe with a lower max_demand, so that there is less to do at a time, or give the machine less to do"
)

AnyFailureReporter = PlainFailureReporter | ReportingHandler | InFlight


class _Message(partial[None]):
    """A notice that outlives a crash."""

    __slots__ = ()


Subscribe = Callable[[str, SubscribeTo | str, Subscription | None], SubscriptionHandle]
"""Subscribes the stage of that name as it says, in the place of a subscription if one is given."""


def _subscribes_alone(name: str, _: SubscribeTo | str, __: Subscription | None) -> SubscriptionHandle:
    raise NoProcess(name)


def _raise(error: BaseException) -> None:
    raise error


class StageProcess(Process[S]):
    """A process with *notices*: calls of its callbacks that come before mail, each in a turn of its own.

    While it is paused it hands its callbacks no events and no demand. Mail, notices and ends go on, and so do buffered
    events.
    """

    __slots__ = (
        "_resumption",
        "_slow_callback_advice",
        "concurrency",
        "counts",
        "failure",
        "failure_reporter",
        "is_paused",
        "notices",
        "subscriber",
    )

    def __init__(self, name: str, factory: Callable[[], S], scheduler: Scheduler, counts: StageCounts) -> None:
        super().__init__(name, factory, scheduler)
        self.counts = counts
        self.failure_reporter: AnyFailureReporter = PlainFailureReporter(counts)
        self.failure = PLAIN_FAILURE
        self.concurrency = PLAIN_CONCURRENCY
        self.is_paused = False
        self._slow_callback_advice = SLOW_CALLBACK_ADVICE
        self._resumption: asyncio.Event | None = None
        self.notices: deque[Callable[[], None]] = deque()
        self.subscriber: Subscribe = _subscribes_alone

    @override
    def bound(self, callbacks: S) -> None:
        is_built_in = type(callbacks).__module__.startswith(_BUILT_IN)
        self._slow_callback_advice = _BUILT_IN_ADVICE if is_built_in else callbacks.slow_callback_advice
        callbacks._process = cast("Process[object]", self)  # noqa: SLF001 - the runtime stands behind the base class

    @property
    def stage(self) -> S:
        """The callback object of the present life; from `bound` on."""
        return cast("S", self.callbacks)

    @property
    @override
    def slow_callback_advice(self) -> str:
        return self._slow_callback_advice

    def check_loop(self, name: str) -> None:
        """Raise `ForeignThread` or `ForeignLoop` when the method `name` is called outside the stage's loop."""
        self.scheduler.check_loop(f"{name} of stage", self.name)

    def subscribe(self, to: SubscribeTo | str) -> SubscriptionHandle:
        """Subscribe to another stage of the same topology, or anew to the same one."""
        return self.subscriber(self.name, to, None)

    def resubscribe(self, replaced: Subscription, to: SubscribeTo | str) -> SubscriptionHandle:
        """Subscribe to another stage, or anew to the same one, in the place of a subscription."""
        return self.subscriber(self.name, to, replaced)

    def pause(self) -> None:
        """Give the callbacks nothing more. Work in progress continues."""
        self.is_paused = True
        self._schedule_control()

    def resume(self) -> None:
        """Go on."""
        self.is_paused = False
        self._end_pause()
        self._schedule_control()

    async def resumed(self) -> None:
        """Return once the stage is not paused, or has ended for good."""
        while self.is_paused and self.state is not ProcessStatus.ENDED:
            if self._resumption is None:
                self._resumption = asyncio.Event()
            await self._resumption.wait()

    def _end_pause(self) -> None:
        event, self._resumption = self._resumption, None
        if event is not None:
            event.set()

    @override
    def finalize(self, reason: ExitReason) -> None:
        super().finalize(reason)
        self._end_pause()

    def notify(self, notice: Callable[[], None]) -> None:
        """Handle a notice before all mail."""
        self.notices.append(notice)
        self._schedule_control()

    def info(self, message: object) -> None:
        """Send a message behind all events that the stage holds: here it holds none."""
        self.on_info(message)

    def on_info(self, message: object) -> None:
        """Call `handle_info`, before all mail, with a message that waited behind events."""
        self.notify(_Message(self._open_message, message))

    def _open_message(self, message: object) -> None:
        mail, then = Envelope(None, (message,)), partial(self.take_returned, "handle_info")
        self.call_back(partial(mail.open, self.callbacks, self.name), then)

    def dispatcher_failed(self, error: BaseException) -> None:
        """Crash with the dispatcher's error, in a turn of its own; where the stage ends anyway, log it."""
        if self.state is ProcessStatus.RUNNING and self._stop_reason is None:
            self.notify(partial(_raise, error))
        else:
            self.counts.error(error)
            LOG.error("the dispatcher of stage %r failed while the stage ended or restarted", self.name, exc_info=error)

    def forget_notices(self) -> None:
        """Forget the notices of this life; messages wait for the next one, as mail does."""
        self.notices = deque(notice for notice in self.notices if isinstance(notice, _Message))

    @override
    def _reply(self, result: object) -> None:
        mail = self._current_envelope
        if result is None or mail is None or mail.method is not None:
            super()._reply(result)
            self.failure_reporter.returned()
        else:
            super()._reply(None)
            self.take_returned("handle_info", result)

    def _schedule_control(self) -> None:
        self.has_control = True
        self.scheduler.wake(self.turns)

    def serve(self) -> None:
        """Send waiting events, while the callbacks are busy or paused."""

    def notify_subscribed(self, subscription: Subscription, side: OtherSide) -> None:
        """Call `handle_subscribe`, or go on at once where the stage has none."""
        handle_subscribe = self.stage.handle_subscribe
        if not is_overridden(handle_subscribe, Stage.handle_subscribe):
            self.on_subscribe_handled(subscription, side, None)
        else:
            handle = SubscriptionHandle(subscription, self)
            callback = partial(handle_subscribe, side, subscription.to, handle)
            self.notify(partial(self._ask_callbacks, subscription, side, callback))

    def _ask_callbacks(self, subscription: Subscription, side: OtherSide, callback: Callable[[], object]) -> None:
        if side == "producer":
            subscription.deferred_demand = 0
        self.call_back(callback, partial(self._answered, subscription, side))

    def _answered(self, subscription: Subscription, side: OtherSide, mode: object) -> None:
        allowed = ("automatic", "manual") if side == "producer" else ("automatic",)
        if mode is not None and mode not in allowed:
            choices = " or ".join(f'"{name}"' for name in allowed)
            raise BadReturn(self.name, "handle_subscribe", mode, f"None or {choices}")
        self.on_subscribe_handled(subscription, side, "automatic" if mode is None else mode)

    def on_subscribe_handled(self, subscription: Subscription, side: OtherSide, mode: object) -> None:
        """Go on with a subscription after `handle_subscribe`; `mode` is None where the stage has none."""

    def change_demand(self, subscription: Subscription, max_demand: int, min_demand: int | None) -> None:
        """Go on with other bounds of a subscription; a stage that takes nothing in has none."""

    def end_subscription(self, subscription: Subscription, reason: ExitReason) -> None:
        """Cancel one of the subscriptions."""

    def notify_cancelled(self, subscription: Subscription, marker: Marker, then: Callable[[object], None]) -> None:
        """Call `handle_cancel` and go on with `then`, at once where the stage has none."""
        handle_cancel = self.stage.handle_cancel
        if not is_overridden(handle_cancel, Stage.handle_cancel):
            then(None)
        else:
            handle = SubscriptionHandle(subscription, self)
            kind = cast("CancelKind", marker.kind.value)  # an info ends nothing
            self.call_back(partial(handle_cancel, kind, marker.reason, handle), then)

    def notify_unsubscribed(self, subscription: Subscription) -> None:
        """Call `handle_cancel`, in a turn to come, for a consumer that has left or was removed."""
        self.scheduler.wake(self.turns)
        if (
            self.state is ProcessStatus.RUNNING
            and subscription.ended is not None
            and is_overridden(self.stage.handle_cancel, Stage.handle_cancel)
        ):
            then = partial(self.take_returned, "handle_cancel")
            self.notify(partial(self.notify_cancelled, subscription, subscription.ended, then))

    def take_returned(self, callback: str, returned: object) -> None:
        """Handle the return value of a callback beside the main one, as the kind of stage does."""

    @override
    def handle_control(self) -> int:
        if self.is_busy:
            self.serve()
            return IDLE
        if self.notices and self.state is ProcessStatus.RUNNING and self._stop_reason is None:
            self.notices.popleft()()
            return MORE
        outcome = super().handle_control()
        if self.is_paused and not self.has_control and self.state is ProcessStatus.RUNNING:
            self.has_control = True
            self.serve()
            return IDLE
        return outcome
