"""`Step`, one turn of a kind of stage; `SubscribingProcess`, a process with subscriptions on both sides."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, cast

from typing_extensions import override

from headrace.errors import BadReturn, NoProcess, SubscriptionError
from headrace.otp.process.callbacks import is_overridden
from headrace.otp.process.mailbox import Envelope
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.scheduler import MORE, SLOW_CALLBACK_ADVICE, Scheduler
from headrace.pipeline.demand.window import ManualWindow, Window
from headrace.pipeline.engine.units import UNIT
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.flow.subscription import Marker, MarkerKind, SubscribeTo, Subscription
from headrace.pipeline.flow.subscription_handle import CancelKind, OtherSide, SubscriptionHandle
from headrace.pipeline.stage.stage import Stage
from headrace.telemetry.counts import HistogramCounts
from headrace.telemetry.events import LOG

_BUILT_IN: Final = "headrace.stages."
_BUILT_IN_ADVICE: Final = (
    "subscribe with a lower max_demand, so that there is less to do at a time, or give the machine less to do"
)


class _Message(partial[None]):
    """A notice that outlives a crash."""

    __slots__ = ()


Subscribe = Callable[[str, SubscribeTo | str, Subscription | None], SubscriptionHandle]
"""Subscribes the stage of that name to another one. A subscription that is given is replaced."""


def subscribes_alone(name: str, _: SubscribeTo | str, __: Subscription | None) -> SubscriptionHandle:
    """Raise `NoProcess`: a process without a topology finds no other stage."""
    raise NoProcess(name)


@dataclass(slots=True, eq=False)
class Replacement:
    """The callbacks that follow the present ones of a running stage. `first` is the first object that is used."""

    factory: Callable[[], Stage]
    first: Stage | None
    done: asyncio.Future[None]
    """Resolved when the new callbacks run. Holds `NoProcess` when the stage has ended before."""


class Step:
    """One turn of a kind of stage (the hot path), with the state that only this kind has.

    `turn` is bound once for each life of the process. The other methods are hooks of the process.
    """

    __slots__ = ("process",)

    has_children: ClassVar[bool] = False
    """Whether events are handled by child processes."""

    process: "SubscribingProcess"
    input: StageInput | None = None
    output: StageOutput | None = None
    latency: HistogramCounts | None = None
    """The time from the source, in seconds; a consumer's only."""

    def attach(self, process: "SubscribingProcess") -> None:
        """Called once with the process of the step."""
        self.process = process

    def turn(self) -> int:
        """Handle one batch or one end, then let other processes run; return the scheduler's outcome."""
        return self.process.handle_control()

    def bound(self, callbacks: Stage) -> None:
        """Called with a new callback object, before its `init`."""

    def control(self) -> int | None:
        """Do work that comes before mail, and return the outcome; None where there is none."""

    def serve(self) -> None:
        """Emit events that wait in the step, while the callbacks are busy or paused."""

    def give_way(self) -> None:
        """Called before another callback runs, and before a pause: a stream that is pulled stops soon."""

    def subscribed(self, subscription: Subscription, mode: object) -> None:
        """Called after `handle_subscribe`, before the first events are asked for."""

    def may_complete(self) -> bool:
        """Return whether `handle_complete` may be called: all events have been handled."""
        return True

    def may_cancel(self) -> bool:
        """Return whether the running coroutine may be cancelled after the shutdown time."""
        return True

    def begin_replacement(self) -> None:
        """End the present callbacks when the running one has returned, so that others can follow."""
        self.process.stop_after_callback("shutdown")

    def requeue(self) -> None:
        """Account for the events that the step holds, when the process ends or crashes."""

    def release(self) -> object:
        """Close what the step has opened; return an awaitable or None."""
        return None

    def kill(self) -> None:
        """Called when the process is killed, unless it stops already."""

    def ended(self) -> None:
        """Called when a life of the process has ended."""

    def child_entries(self) -> Iterable[Process[object]]:
        """Return the child processes, oldest first."""
        return ()


class SubscribingProcess(Process[Stage]):
    """A process with subscriptions, on its input, its output or both. It can be paused.

    *Notices* are calls of its callbacks that come before mail, each in a turn of its own. While the process is paused,
    its callbacks get no events and no demand. Mail, notices and ends go on.

    A process with an input completes when the last subscription has been ended by its producer. Where it cancelled the
    last one itself, it waits: it may subscribe again.
    """

    __slots__ = (
        "_input",
        "_is_handling_cancel",
        "_may_wait",
        "_output",
        "_resumption",
        "_slow_callback_advice",
        "_subscriber",
        "counts",
        "input",
        "is_completing",
        "is_paused",
        "notices",
        "output",
        "replacement",
        "step",
        "unfed",
    )

    def __init__(
        self, factory: Callable[[], Stage], scheduler: Scheduler, counts: StageCounts, step: Step, subscriber: Subscribe
    ) -> None:
        super().__init__(counts.stage, factory, scheduler)
        self.counts = counts
        self.step = step
        self.input = step.input
        self.output = step.output
        # The same two, for methods that are called only where there is an input, or an output.
        self._input = cast("StageInput", step.input)
        self._output = cast("StageOutput", step.output)
        self.is_paused = False
        self.notices: deque[Callable[[], None]] = deque()
        self._subscriber = subscriber
        self._slow_callback_advice = SLOW_CALLBACK_ADVICE
        self.unfed: set[str] = set()
        """The names of stages that subscribe to nothing for now, and may subscribe again."""
        self._resumption: asyncio.Event | None = None
        self.replacement: Replacement | None = None
        self.is_completing = False
        self._may_wait = True
        self._is_handling_cancel = False

    @override
    def bound(self, callbacks: Stage) -> None:
        is_built_in = type(callbacks).__module__.startswith(_BUILT_IN)
        self._slow_callback_advice = _BUILT_IN_ADVICE if is_built_in else callbacks.slow_callback_advice
        callbacks._process = cast("Process[object]", self)  # noqa: SLF001 - the runtime stands behind the base class

    @property
    def stage(self) -> Stage:
        """The callback object of the present life; from `bound` on."""
        return cast("Stage", self.callbacks)

    @property
    @override
    def slow_callback_advice(self) -> str:
        return self._slow_callback_advice

    def check_loop(self, name: str) -> None:
        """Raise `ForeignThread` or `ForeignLoop` when the method `name` is called outside the stage's loop."""
        self.scheduler.check_loop(f"{name} of stage", self.name)

    def subscribe(self, to: SubscribeTo | str) -> SubscriptionHandle:
        """Subscribe to another stage of the same topology, or anew to the same one."""
        return self._subscriber(self.name, to, None)

    def resubscribe(self, replaced: Subscription, to: SubscribeTo | str) -> SubscriptionHandle:
        """Subscribe to another stage, or anew to the same one, in the place of a subscription."""
        return self._subscriber(self.name, to, replaced)

    def pause(self) -> None:
        """Give the callbacks no more events and no more demand. Work in progress continues."""
        self.is_paused = True
        self.schedule_control()

    def resume(self) -> None:
        """Go on after a pause."""
        self.is_paused = False
        self._end_pause()
        self.schedule_control()

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

    def replace(self, factory: Callable[[], Stage], first: Stage) -> asyncio.Future[None]:
        """Go on with other callbacks, once the running callback has returned. The future is done when they run.

        Subscriptions, counts, mail and buffered events stay. Messages that the former callbacks retained are delivered
        to the new ones. A `handle_demand` that waits is cancelled after the shutdown time. Raises `NoProcess` for a
        stage that has ended or is about to. A second call before the future is done replaces the first.
        """
        if self.state is ProcessStatus.ENDED or self.no_restart or self.is_completing:
            raise NoProcess(self.name)
        done = self.scheduler.loop.create_future() if self.replacement is None else self.replacement.done
        self.replacement = Replacement(factory, first, done)
        if self.state is ProcessStatus.NEW:
            self._take_replacement(self.replacement)
        else:
            self.step.begin_replacement()
        return done

    def _take_replacement(self, replacement: Replacement) -> None:
        self.factory = replacement.factory
        self.first, replacement.first = replacement.first, None

    @override
    def start(self) -> None:
        if self.replacement is not None:
            self._take_replacement(self.replacement)
        super().start()

    @override
    def running(self) -> None:
        replacement, self.replacement = self.replacement, None
        if replacement is not None:
            replacement.done.set_result(None)

    @override
    def _ended(self) -> None:
        if self.replacement is None or self.no_restart or isinstance(self.reason, BaseException):
            super()._ended()
            return
        if self._driver is not None:
            self._driver.close()
        self.callbacks = None
        self.mailbox.drop_own()
        self.reason = self._stop_reason = None
        self.start()

    @override
    def finalize(self, reason: ExitReason) -> None:
        super().finalize(reason)
        self._end_pause()
        self.drop_replacement()

    def drop_replacement(self) -> None:
        """Keep the present callbacks, because the stage is about to end."""
        replacement, self.replacement = self.replacement, None
        if replacement is not None:
            replacement.done.set_exception(NoProcess(self.name))
            if self.state is ProcessStatus.RUNNING and not self.no_restart:
                self._stop_reason = None

    def notify(self, notice: Callable[[], None]) -> None:
        """Call a notice before all mail."""
        self.notices.append(notice)
        self.schedule_control()

    def forget_notices(self) -> None:
        """Forget the notices of this life; messages wait for the next one, as mail does."""
        self.notices = deque(notice for notice in self.notices if isinstance(notice, _Message))

    def on_info(self, message: object) -> None:
        """Call `handle_info`, before all mail, with a message that waited behind events."""
        self.notify(_Message(self._open_message, message))

    def _open_message(self, message: object) -> None:
        mail, then = Envelope(None, (message,)), partial(self.take_returned, "handle_info")
        self.call_back(partial(mail.open, self.callbacks, self.name), then)

    def take_returned(self, callback: str, returned: object) -> None:
        """Handle the return value of a callback beside the main one."""

    def notify_subscribed(self, subscription: Subscription, side: OtherSide) -> None:
        """Call `handle_subscribe`, and go on at once where the stage has none."""
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

    def notify_cancelled(self, subscription: Subscription, marker: Marker, then: Callable[[object], None]) -> None:
        """Call `handle_cancel` and go on with `then`; at once where the stage has none."""
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

    def on_subscribe(self, subscription: Subscription) -> None:
        """Add a consumer's subscription."""
        self._output.subscribe(subscription)
        if self.state is ProcessStatus.RUNNING:
            self.notify_subscribed(subscription, "consumer")

    def on_unsubscribe(self, subscription: Subscription, unbegun: list[object]) -> list[object]:
        """Remove a consumer; take back its unbegun events, or return them if they cannot go to another."""
        self.notify_unsubscribed(subscription)
        return self._output.leave(subscription, unbegun, self.scheduler.time())

    def demand_withdrawn(self, subscription: Subscription, demand: int) -> None:
        """Called when a consumer withdraws reported demand."""
        self._output.withdraw(subscription, demand)

    def subscribed(self, subscription: Subscription) -> None:
        """Add a subscription to a producer."""
        self._input.subscribe(subscription)
        subscription.kept = 0
        if self.state is ProcessStatus.RUNNING:
            self.notify_subscribed(subscription, "producer")

    def on_subscribe_handled(self, subscription: Subscription, side: OtherSide, mode: object) -> None:
        """Go on with a subscription after `handle_subscribe`; `mode` is None where the stage has none."""
        if side != "producer" or subscription.ended is not None:
            return
        self.step.subscribed(subscription, mode)
        former = subscription.window
        deferred_demand, subscription.deferred_demand = subscription.deferred_demand, None
        kept, subscription.kept = subscription.kept, None
        if (mode == "manual") is not isinstance(former, ManualWindow):
            kind = ManualWindow if mode == "manual" else Window
            subscription.window = kind(former.max_demand, former.min_demand).resumed_at(former.outstanding)
        if deferred_demand and not isinstance(subscription.window, ManualWindow):
            raise SubscriptionError(
                self.name, subscription.producer.name, "was asked on by hand", 'return "manual" from handle_subscribe'
            )
        self._input.open(subscription)
        if deferred_demand:
            SubscriptionHandle(subscription, self).ask(deferred_demand)
        if kept:
            self._ask_kept(subscription, kept)

    def _ask_kept(self, subscription: Subscription, demand: int) -> None:
        """Ask for the demand that was requested by hand before `handle_subscribe` was called."""
        window = subscription.window
        if isinstance(window, ManualWindow):
            SubscriptionHandle(subscription, self).ask(min(demand, window.max_demand - window.outstanding))
        else:
            LOG.warning(
                'stage %r was asked for %d events of %r by hand, and asks by itself: return "manual" from '
                "handle_subscribe to ask by hand",
                self.name,
                demand,
                subscription.producer.name,
            )

    def source(self) -> SubscriptionHandle:
        """Return the subscription of the current batch; of several batches, that of the calling callback."""
        unit = UNIT.get()
        is_of_task = unit is not None and unit.source.consumer is self
        return SubscriptionHandle(unit.source if unit is not None and is_of_task else self.started_from(), self)

    def end_subscription(self, subscription: Subscription, reason: ExitReason) -> None:
        """Cancel a subscription, of either side."""
        if subscription.producer is not self:
            if self.state is not ProcessStatus.ENDED:
                self._input.unsubscribe(subscription, reason)
        elif not self._output.is_closed:
            self._output.close_subscription(subscription, Marker(MarkerKind.CANCEL, reason))
            self.notify_unsubscribed(subscription)

    def change_demand(self, subscription: Subscription, max_demand: int, min_demand: int | None) -> None:
        """Go on with other limits of demand."""
        if subscription.ended is None:
            self._input.change(subscription, max_demand, min_demand)

    def end_of(self, subscription: Subscription) -> int:
        """Handle a marker: end the subscription, or pass an info on."""
        marker = subscription.markers.popleft()
        if marker.reached is not None:
            marker.reached()
            return MORE
        reason = self._input.end(subscription, marker)
        if self.is_waiting():
            self.unfed.add(self.name)
        self._is_handling_cancel = True
        self.notify_cancelled(subscription, marker, partial(self._go_on_after_end, reason))
        return MORE

    def _go_on_after_end(self, reason: ExitReason | None, returned: object) -> None:
        self._is_handling_cancel = False
        self.take_returned("handle_cancel", returned)
        if reason is not None:
            self.no_restart = True
            self.exit(reason)
        elif self._input.is_over:
            self.complete_input()
        elif not self._may_wait:
            self.stop_waiting()

    def may_subscribe(self) -> bool:
        """Return whether the stage may subscribe: until the last subscription and its `handle_cancel` have ended."""
        return self.state is not ProcessStatus.ENDED and (self._is_handling_cancel or not self._input.is_over)

    def is_waiting(self) -> bool:
        """Return whether the stage subscribes to nothing for now, and may subscribe again."""
        return (
            self.input is not None
            and self._may_wait
            and self.state is not ProcessStatus.ENDED
            and not (self.input.subscriptions or self.input.is_over)
        )

    def stop_waiting(self) -> None:
        """Complete as soon as the stage subscribes to nothing: no producer is left."""
        self._may_wait = False
        if self.input is not None and not (self.input.subscriptions or self.input.is_over):
            self.input.is_over = True
            if self.state is ProcessStatus.RUNNING:
                self.notify(self.complete_input)

    def complete_input(self) -> None:
        """Call `handle_complete`, and complete: all input has been handled."""
        if not self.step.may_complete():
            return
        self.has_control = True
        handle_complete = self.stage.handle_complete
        if is_overridden(handle_complete, Stage.handle_complete):
            self.call_back(handle_complete, self._input_completed)
        else:
            self._input_completed(None)

    def _input_completed(self, returned: object) -> None:
        self.take_returned("handle_complete", returned)
        if self.output is None:
            self.no_restart = True
            self.exit("normal")
        else:
            self.complete()

    def started_from(self) -> Subscription:
        """Return the subscription of the batch that was taken last, or is just being taken."""
        return self._input.first if self._input.current_batch is None else self._input.source

    def complete(self) -> None:
        """End once the buffer is empty."""
