"""Stages that note what they are told of their subscriptions, and keep the handles."""

from collections.abc import Awaitable

from headrace.otp.process.process import ExitReason
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import CancelKind, OtherSide, SubscriptionHandle
from tests.fakes.flow_stages import Collect, Pass, Silent


class Told:
    """What a stage was told, in order: ("subscribe", side, other) and ("cancel", kind, reason, other)."""

    def __init__(self, mode: object = None) -> None:
        self.mode = mode
        self.log: list[tuple[object, ...]] = []
        self.handles: list[SubscriptionHandle] = []

    def subscribed(self, side: OtherSide, handle: SubscriptionHandle) -> object:
        other = handle.producer if side == "producer" else handle.consumer
        self.log.append(("subscribe", side, other))
        self.handles.append(handle)
        return self.mode

    def cancelled(self, kind: CancelKind, reason: ExitReason, handle: SubscriptionHandle) -> None:
        self.log.append(("cancel", kind, reason, handle.producer, handle.consumer))


class TellingCollect(Collect):
    """A consumer; `mode` is what it answers to a subscription."""

    def __init__(self, told: Told) -> None:
        super().__init__()
        self.told = told

    def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> object:
        assert to is subscription.to
        return self.told.subscribed(side, subscription)

    def handle_cancel(self, kind: CancelKind, reason: ExitReason, subscription: SubscriptionHandle) -> None:
        self.told.cancelled(kind, reason, subscription)


class TellingPass(Pass):
    """A producer-consumer, told asynchronously; it emits a last word when a producer of its own has ended."""

    def __init__(self, told: Told) -> None:
        super().__init__()
        self.told = told

    async def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> object:
        return self.told.subscribed(side, subscription)

    async def handle_cancel(
        self, kind: CancelKind, reason: ExitReason, subscription: SubscriptionHandle
    ) -> list[object] | None:
        self.told.cancelled(kind, reason, subscription)
        return [f"{subscription.producer} {kind}"] if subscription.consumer == self.name else None


class TellingSilent(Silent):
    """A producer."""

    def __init__(self, told: Told) -> None:
        super().__init__()
        self.told = told

    def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> object:
        return self.told.subscribed(side, subscription)

    def handle_cancel(self, kind: CancelKind, reason: ExitReason, subscription: SubscriptionHandle) -> Awaitable[None]:
        async def tell() -> None:
            self.told.cancelled(kind, reason, subscription)

        return tell()
