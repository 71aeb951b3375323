"""Rules of the random machine for dispatchers that raise, and for readers that fail or stand still."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Final, Literal

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from headrace.errors import ReaderTooSlow
from headrace.pipeline.dispatchers.dispatcher import Delivery, Dispatcher, SubscribeOptions
from headrace.pipeline.flow.accumulator import DemandAccumulator
from headrace.pipeline.flow.subscription import Subscription
from tests.fakes.laws import outlet_of
from tests.fakes.machine import Reader
from tests.fakes.machine_notes import CRASHES, MachineCrash
from tests.fakes.machine_plans import Plan
from tests.fakes.machine_subscribing import SubscribingRoom

Slip = Literal["dispatch", "late", "asked", "less", "cancelled"]
"""Where it raises: before it delivers, after that, when it is told of more or less demand, when a consumer left."""

SLIPS: Final[tuple[Slip, ...]] = ("dispatch", "late", "asked", "less", "cancelled")
QUEUED_SLIPS: Final[tuple[Slip, ...]] = ("dispatch", "asked")
"""Where one may raise that holds events of its own: what it has taken out of its queues would be lost."""

PATIENCE_SECONDS: Final = 0.05


class SlippingDispatcher(Dispatcher[Subscription]):
    """Does what another one does, and raises what it is told to, once each."""

    def __init__(self, inner: Dispatcher[Subscription]) -> None:
        self.inner = inner
        self.can_redeliver = inner.can_redeliver
        self.is_plain_with_one = inner.is_plain_with_one
        self.slips: list[tuple[Slip, type[BaseException]]] = []

    @property
    def queued(self) -> int:  # type: ignore[override] # the other one's
        return self.inner.queued

    def _slip(self, slip: Slip) -> None:
        if self.slips and self.slips[0][0] == slip:
            raise self.slips.pop(0)[1](slip)

    def option_error(self, wish: SubscribeOptions) -> str | None:
        return self.inner.option_error(wish)

    def subscribed(self, share: Subscription) -> None:
        self.inner.subscribed(share)

    def cancelled(self, share: Subscription, unbegun: list[object], ingested_at: float) -> list[object]:
        back = self.inner.cancelled(share, unbegun, ingested_at)
        self._slip("cancelled")
        return back

    def asked(self, share: Subscription, demand: int) -> None:
        self._slip("asked" if demand > 0 else "less")
        self.inner.asked(share, demand)

    def unmet(self) -> int:
        return self.inner.unmet()

    def dispatch(self, events: list[object], ingested_at: float) -> tuple[Sequence[Delivery[Subscription]], int]:
        if events:
            self._slip("dispatch")
        deliveries, used = self.inner.dispatch(events, ingested_at)
        if deliveries:
            self._slip("late")
        return deliveries, used

    def add_marker(self, message: object) -> bool:
        return self.inner.add_marker(message)

    def drain(self, *, is_unreachable_only: bool = False) -> list[object]:
        return self.inner.drain(is_unreachable_only=is_unreachable_only)


async def _patient(stream: AsyncGenerator[object, None]) -> AsyncGenerator[object, None]:
    """Read a stream, and fail as stages do where that took too long."""
    async with aclosing(stream):
        try:
            async for event in stream:
                yield event
        except ReaderTooSlow as error:
            raise MachineCrash from error


class SlippingRoom(SubscribingRoom):
    """Lets dispatchers slip, and readers raise, or lose their place."""

    async def begin(self, plan: Plan) -> None:
        await super().begin(plan)
        self.slipping: dict[str, SlippingDispatcher] = {}
        for name, process in self.machine.processes.items():
            outlet = outlet_of(process)
            if outlet is None:
                continue
            if isinstance(outlet.dispatcher, DemandAccumulator):
                self.slipping[name] = outlet.dispatcher.inner = SlippingDispatcher(outlet.dispatcher.inner)
            else:
                self.slipping[name] = outlet.dispatcher = SlippingDispatcher(outlet.dispatcher)

    @rule(data=st.data(), error=st.sampled_from(CRASHES))
    def slip(self, data: st.DataObject, error: type[BaseException]) -> None:
        stage = self.one_of(data, "source", "middle")
        slip = data.draw(st.sampled_from(QUEUED_SLIPS if stage.kind == "partition" else SLIPS))
        self.slipping[stage.notes.name].slips.append((slip, error))
        self.has_left |= stage.settings.restart == "temporary"

    @precondition(lambda self: len(self.readers) < 2)
    @rule(data=st.data(), most=st.integers(1, 20))
    def open_patient_reader(self, data: st.DataObject, most: int) -> None:
        stage = self.one_of(data, "source", "middle")
        if stage.kind == "partition":
            return
        stream = _patient(self.handle(stage).stream(most, timeout_seconds=PATIENCE_SECONDS))
        self.readers.append(Reader(stage.notes.name, stream))
        self.has_left = self.has_been_read = True
        self.loop.run(self.read_on(self.readers[-1], 1))
        self.check()

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def fail_reader(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        self.readers.remove(reader)
        self.former_readers.append(reader)
        with suppress(MachineCrash):
            self.loop.run(reader.stream.athrow(MachineCrash("body")))
        self.loop.run(reader.close(is_acknowledged=self.plan.is_acknowledged))
        self.check()

    def let_go_on(self) -> None:
        """Let no dispatcher slip any more."""
        for dispatcher in self.slipping.values():
            dispatcher.slips.clear()
        super().let_go_on()
