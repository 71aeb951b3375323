"""Interrupts in callbacks that run several at a time."""

from typing import ClassVar

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Numbers
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of

pytestmark = pytest.mark.asyncio


class _Interrupted(Consumer[int]):
    """Raises once."""

    error: ClassVar[type[BaseException]]

    def __init__(self) -> None:
        self.seen: list[int] = []

    async def handle_events(self, events: list[int]) -> None:
        self.seen += events
        if len(self.seen) == 3:
            raise self.error


class _InterruptedOneByOne(_Interrupted):
    per_event = True


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", [_Interrupted, _InterruptedOneByOne])
async def test_an_interrupt_in_one_of_several_callbacks_drains_the_run_and_spares_the_loop(
    kind: type[_Interrupted], error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Interrupted, "error", error, raising=False)
    topology, consumer = Topology(), kind()
    topology.add("numbers", Numbers)
    settings = StageSettings(concurrency=Concurrency(2))
    topology.add("consumer", lambda: consumer, subscribe_to=SubscribeTo("numbers", 1), settings=settings)
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert outcome.events_lost == 1
    check_end(run_of(topology))
