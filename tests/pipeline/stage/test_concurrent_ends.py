"""Several at a time, when one crashes or all are cancelled: what comes while the others end is not lost with them."""

import asyncio
from typing import Any, Final

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.stepping import run_of, settled, until

CRASHES: Final = 1
SLOW_TO_END: Final = 2


class EndsSlowly(Consumer[int]):
    """Crashes at the first event when told so; the second event ends, however it does, when told so."""

    def __init__(self, handled: list[int]) -> None:
        self.handled = handled
        self.begun: list[int] = []
        self.may_crash = asyncio.Event()
        self.may_end = asyncio.Event()

    async def handle_events(self, events: list[int]) -> None:
        self.begun += events
        if events == [CRASHES]:
            await self.may_crash.wait()
            raise OSError
        if events == [SLOW_TO_END]:
            try:
                await asyncio.Event().wait()
            finally:
                await self.may_end.wait()
        self.handled += events


@pytest.mark.asyncio
@pytest.mark.parametrize("per_event", [False, True])
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_an_event_that_comes_while_a_crashed_stage_ends_is_handled_after_the_restart(
    monkeypatch: pytest.MonkeyPatch, *, per_event: bool, is_cancelled: bool
) -> None:
    monkeypatch.setattr(EndsSlowly, "per_event", per_event)
    lives: list[EndsSlowly] = []
    handled: list[int] = []

    def live() -> EndsSlowly:
        lives.append(EndsSlowly(handled))
        return lives[-1]

    topology = Topology()
    source = topology.add("source", Inbox[Any])
    settings = StageSettings(concurrency=Concurrency(4))
    topology.add("stage", live, subscribe_to=SubscribeTo("source", 10, 9), settings=settings)
    await topology.start()
    await source.emit([CRASHES])
    await source.emit([SLOW_TO_END])
    await until(lambda: len(lives[0].begun) == 2)
    if is_cancelled:
        task = run_of(topology).processes["stage"].driver._task
        assert task is not None
        task.cancel()
    else:
        lives[0].may_crash.set()
    for event in (3, 4, 5):
        await source.emit([event])
        await settled(topology)
    assert lives[0].begun == [CRASHES, SLOW_TO_END]
    lives[0].may_end.set()
    await until(lambda: 5 in handled)
    assert sorted(handled) == [3, 4, 5]
    assert {why: count for why, count in topology.snapshot().stages[1].discarded.items() if count} == {"crash": 2}
    await topology.drain(1)
