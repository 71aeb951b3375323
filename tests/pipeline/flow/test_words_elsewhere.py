"""Words of stages and subscriptions that are said too early, or elsewhere than on the stage's own loop."""

import asyncio
from collections.abc import Callable

import pytest

from headrace.errors import ForeignLoop, ForeignThread, NotStarted, ProcessError
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Pass, Silent
from tests.fakes.stepping import settled


def elsewhere(words: list[Callable[[], object]], error: type[ProcessError]) -> None:
    """Say each word on a loop of this thread; assert that it is refused."""

    async def say() -> None:
        for word in words:
            with pytest.raises(error):
                word()

    asyncio.run(say())


@pytest.mark.asyncio
async def test_the_words_of_a_running_stage_are_refused_elsewhere_and_change_nothing() -> None:
    topology, silent, middle, collect = Topology(), Silent(), Pass(), Collect()
    topology.add("silent", lambda: silent)
    topology.add("pass", lambda: middle, subscribe_to="silent")
    handle = topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("pass", max_demand=10))
    await topology.start()
    await settled(topology)
    (subscription,) = handle.subscriptions()
    words: list[Callable[[], object]] = [
        lambda: silent.emit_nowait([1]),
        silent.complete,
        lambda: silent.info("word"),
        lambda: middle.emit_nowait([1]),
        lambda: middle.emit_to("side", [1]),
        lambda: middle.info("word"),
        lambda: middle.subscribe("silent"),
        lambda: collect.subscribe("silent"),
        lambda: subscription.ask(1),
        lambda: subscription.change(5),
        subscription.cancel,
        subscription.resubscribe,
    ]
    await asyncio.to_thread(elsewhere, words, ForeignThread)
    assert handle.subscriptions() == [subscription]
    assert subscription.outstanding == 10
    silent.emit_nowait([1, 2])
    await topology.drain()
    assert collect.events == [1, 2]


def test_the_words_of_a_stage_whose_loop_stands_still_are_refused_on_another_in_its_thread() -> None:
    topology, silent = Topology(), Silent()
    topology.add("silent", lambda: silent)
    handle = topology.add("collect", Collect, subscribe_to="silent")
    loop = asyncio.new_event_loop()
    loop.run_until_complete(topology.start())
    (subscription,) = handle.subscriptions()
    elsewhere([lambda: silent.emit_nowait([1]), subscription.cancel], ForeignLoop)
    loop.run_until_complete(topology.stop())
    loop.close()


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (Silent, lambda stage: stage.emit_nowait([1])),
        (Silent, lambda stage: stage.complete()),
        (Silent, lambda stage: stage.demand_by_consumer()),
        (Pass, lambda stage: stage.emit_nowait([1])),
        (Pass, lambda stage: stage.emit_to("side", [1])),
        (Pass, lambda stage: stage.subscribe("silent")),
        (Collect, lambda stage: stage.subscribe("silent")),
        (Collect, lambda stage: stage.source),
        (Collect, lambda stage: stage.name),
        (Collect, lambda stage: stage.discard(1, "late")),
    ],
)
def test_a_word_of_a_stage_before_its_init_says_that_it_is_too_early(
    kind: type[Stage], word: Callable[[object], object]
) -> None:
    with pytest.raises(
        NotStarted, match=rf"^{kind.__name__} uses self\..* while it is no process: use it from init\(\)"
    ):
        word(kind())
