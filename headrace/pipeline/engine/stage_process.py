"""What the processes of all kinds of stages share: being told of subscriptions and their ends, and being paused."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar, cast

from headrace.errors import BadReturn, NoProcess
from headrace.otp.process.mailbox import Mail
from headrace.otp.process.process import ExitReason, Process, State
from headrace.otp.scheduler import HELD_ADVICE, IDLE, MORE, Scheduler
from headrace.pipeline.engine.care import PlainCare
from headrace.pipeline.engine.handler import CarefulHandler
from headrace.pipeline.engine.several import Several
from headrace.pipeline.failure import PLAIN_FAILURE
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.subscription import Mark, SubscribeTo, Subscription
from headrace.pipeline.flow.subscription_handle import Side, SubscriptionHandle
from headrace.pipeline.stage.settings import PLAIN_CONCURRENCY
from headrace.pipeline.stage.stage import Stage
from headrace.telemetry.events import LOG

S = TypeVar("S", bound=Stage)

_BUILT_IN: Final = "headrace.stages."
_BUILT_IN_ADVICE: Final = (
    "subscribe with a lower max_demand, so that there is less to do at a time, or give the machine less to do"
)

Care = PlainCare | CarefulHandler | Several

SubscribeCallback = Callable[[Side, SubscribeTo, SubscriptionHandle], object]
CancelCallback = Callable[[str, ExitReason, SubscriptionHandle], object]


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
    """A process with *notices*: what its callbacks are told of before mail, each in a turn of its own.

    While it is paused it hands its callbacks no events and no demand. Mail, notices and ends go on, and so does what
    it has buffered.
    """

    __slots__ = (
        "_held_advice",
        "_resumption",
        "care",
        "concurrency",
        "counts",
        "failure",
        "is_paused",
        "notices",
        "subscriber",
    )

    def __init__(self, name: str, factory: Callable[[], S], scheduler: Scheduler, counts: StageCounts) -> None:
        super().__init__(name, factory, scheduler)
        self.counts = counts
        self.care: Care = PlainCare(counts)
        self.failure = PLAIN_FAILURE
        self.concurrency = PLAIN_CONCURRENCY
        self.is_paused = False
        self._held_advice = HELD_ADVICE
        self._resumption: asyncio.Event | None = None
        self.notices: deque[Callable[[], None]] = deque()
        self.subscriber: Subscribe = _subscribes_alone

    def bound(self, callbacks: S) -> None:
        """Hand the new callback object the words of every stage."""
        is_built_in = type(callbacks).__module__.startswith(_BUILT_IN)
        self._held_advice = _BUILT_IN_ADVICE if is_built_in else callbacks.held_advice
        callbacks._counts = self.counts  # noqa: SLF001 - the runtime is what stands behind the base class
        callbacks._care = self.care  # noqa: SLF001
        callbacks._process = cast("Process[object]", self)  # noqa: SLF001

    @property
    def held_advice(self) -> str:
        """What a user can do when this stage holds the loop."""
        return self._held_advice

    def check_loop(self, word: str) -> None:
        """Raise `ForeignThread` or `ForeignLoop` when a word of the callbacks is said elsewhere than on their loop."""
        self.scheduler.check_loop(f"{word} of stage", self.name)

    def subscribe(self, to: SubscribeTo | str) -> SubscriptionHandle:
        """Subscribe to another stage of the same topology, or anew to the same one."""
        return self.subscriber(self.name, to, None)

    def resubscribe(self, replaced: Subscription, to: SubscribeTo | str) -> SubscriptionHandle:
        """Subscribe to another stage, or anew to the same one, in the place of a subscription."""
        return self.subscriber(self.name, to, replaced)

    def pause(self) -> None:
        """Give the callbacks nothing more. Work in progress continues."""
        self.is_paused = True
        self._look()

    def resume(self) -> None:
        """Go on."""
        self.is_paused = False
        self._end_pause()
        self._look()

    async def resumed(self) -> None:
        """Return once the stage is not paused, or has ended for good."""
        while self.is_paused and self.state is not State.ENDED:
            if self._resumption is None:
                self._resumption = asyncio.Event()
            await self._resumption.wait()

    def _end_pause(self) -> None:
        event, self._resumption = self._resumption, None
        if event is not None:
            event.set()

    def conclude(self, reason: ExitReason) -> None:
        """Be ended for good; what waits for the end of a pause waits no longer."""
        super().conclude(reason)
        self._end_pause()

    def notify(self, notice: Callable[[], None]) -> None:
        """Have a notice handled before all mail."""
        self.notices.append(notice)
        self._look()

    def info(self, message: object) -> None:
        """Send a message behind all events that the stage holds: here it holds none for which it would wait."""
        self.informed(message)

    def informed(self, message: object) -> None:
        """Have `handle_info` called, before all mail, with a message that waited behind events which have gone."""
        self.notify(_Message(self._open_message, message))

    def _open_message(self, message: object) -> None:
        mail, then = Mail(None, (message,)), partial(self.take_returned, "handle_info")
        self.call_back(partial(mail.open, self.callbacks, self.name), then)

    def dispatcher_failed(self, error: BaseException) -> None:
        """Crash with what the dispatcher raised, in a turn of its own; where the stage ends anyway, log it."""
        if self.state is State.RUNNING and self._stop_reason is None:
            self.notify(partial(_raise, error))
        else:
            self.counts.error(error)
            LOG.error("the dispatcher of stage %r failed while the stage ended or restarted", self.name, exc_info=error)

    def forget_notices(self) -> None:
        """Forget what concerned this life alone; messages wait for the next one, as mail does."""
        self.notices = deque(notice for notice in self.notices if isinstance(notice, _Message))

    def _reply(self, result: object) -> None:
        """Take what `handle_info` and its kin return for events: they have no caller."""
        mail = self._in_hand
        if result is None or mail is None or mail.method is not None:
            super()._reply(result)
            self.care.returned()
        else:
            super()._reply(None)
            self.take_returned("handle_info", result)

    def _look(self) -> None:
        self.needs_attention = True
        self.scheduler.wake(self.turns)

    def serve(self) -> None:
        """Send what waits and may go, while the callbacks are busy or paused."""

    def greet(self, subscription: Subscription, side: Side) -> None:
        """Tell the callbacks of a subscription, at once where they do not want to know."""
        handle_subscribe: SubscribeCallback | None = getattr(self.callbacks, "handle_subscribe", None)
        if handle_subscribe is None:
            self.greeted(subscription, side, None)
        else:
            handle = SubscriptionHandle(subscription, self)
            tell = partial(handle_subscribe, side, subscription.to, handle)
            self.notify(partial(self._ask_callbacks, subscription, side, tell))

    def _ask_callbacks(self, subscription: Subscription, side: Side, tell: Callable[[], object]) -> None:
        if side == "producer":
            subscription.early = 0
        self.call_back(tell, partial(self._answered, subscription, side))

    def _answered(self, subscription: Subscription, side: Side, mode: object) -> None:
        allowed = ("automatic", "manual") if side == "producer" else ("automatic",)
        if mode is not None and mode not in allowed:
            words = " or ".join(f'"{word}"' for word in allowed)
            raise BadReturn(self.name, "handle_subscribe", mode, f"None or {words}")
        self.greeted(subscription, side, "automatic" if mode is None else mode)

    def greeted(self, subscription: Subscription, side: Side, mode: object) -> None:
        """Go on with a subscription that the callbacks know of; `mode` is None where they were not asked."""

    def change_demand(self, subscription: Subscription, max_demand: int, min_demand: int | None) -> None:
        """Go on with other bounds of a subscription; a stage that takes nothing in has none."""

    def end_subscription(self, subscription: Subscription, reason: ExitReason) -> None:
        """Cancel one of the subscriptions."""

    def tell_of_end(self, subscription: Subscription, mark: Mark, then: Callable[[object], None]) -> None:
        """Tell the callbacks that a subscription has ended, and go on with `then`, at once where they do not care."""
        handle_cancel: CancelCallback | None = getattr(self.callbacks, "handle_cancel", None)
        if handle_cancel is None:
            then(None)
        else:
            handle = SubscriptionHandle(subscription, self)
            self.call_back(partial(handle_cancel, mark.kind.value, mark.reason, handle), then)

    def tell_of_leaving(self, subscription: Subscription) -> None:
        """Tell the callbacks, in a turn to come, that a consumer has gone, or was let go."""
        self.scheduler.wake(self.turns)
        if self.state is State.RUNNING and subscription.ended is not None and hasattr(self.callbacks, "handle_cancel"):
            then = partial(self.take_returned, "handle_cancel")
            self.notify(partial(self.tell_of_end, subscription, subscription.ended, then))

    def take_returned(self, callback: str, returned: object) -> None:
        """Do with what a callback beside the main one returned what the kind of stage does with it."""

    def attend(self) -> int:
        """Serve while busy; handle a notice; else what every process attends to, and nothing more while paused."""
        if self.is_busy:
            self.serve()
            return IDLE
        if self.notices and self.state is State.RUNNING and self._stop_reason is None:
            self.notices.popleft()()
            return MORE
        outcome = super().attend()
        if self.is_paused and not self.needs_attention and self.state is State.RUNNING:
            self.needs_attention = True
            self.serve()
            return IDLE
        return outcome
