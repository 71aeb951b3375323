"""Limits the rate of events by its demand, so that earlier stages wait."""

import asyncio

from pydantic import Field
from typing_extensions import override

from headrace.otp.gen_server import Timer
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import ManualDemand, OtherSide, SubscriptionHandle
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.options import Options, RateField, StageType
from headrace.units import TokenBucket

_TOKENS = "tokens"


class ThrottleOptions(Options):
    """The rate."""

    rate: RateField = Field(description="Events per time, as in 100/s; the events of one period may come at once.")


class Throttle(ProducerConsumer[object, object], StageType):
    """Passes events on unchanged, and asks for one event for each token of its bucket.

    In any `t` seconds it passes at most `rate * t` events and the events of one period.
    """

    Options = ThrottleOptions
    takes_messages = True

    def __init__(self, options: ThrottleOptions) -> None:
        self._rate = options.rate
        self._demand = ManualDemand()
        self._bucket: TokenBucket
        self._timer: Timer | None = None
        self._spare = 0

    @override
    def init(self) -> None:
        self._bucket = TokenBucket(self._rate, self._now())

    @override
    def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> str | None:
        answer = self._demand.subscribed(side, subscription)
        if answer is not None:
            self.send_after(0.0, _TOKENS)
        return answer

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        self._wait()
        return events

    @override
    def handle_info(self, message: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        most = max(1, int(self._rate.events))
        self._spare += self._bucket.take(most - self._spare, self._now())
        self._spare -= self._demand.ask(self._spare)
        if not self._spare:
            self._wait()

    def _wait(self) -> None:
        if self._timer is None:
            seconds = 0.0 if self._spare else self._bucket.wait_seconds()
            self._timer = self.send_after(max(seconds, 0.001), _TOKENS)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
