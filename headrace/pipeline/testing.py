"""For tests of pipelines: a source that a test feeds, and the outcomes of its events."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import ClassVar

from headrace.errors import GraphError
from headrace.pipeline.message import NO_METADATA, Acknowledgement, Message, Outcome
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.topology.topology import Topology


class TestSource(Inbox[Message[object]]):
    """A source for tests (Broadway's DummyProducer): it emits only the events of `push_test_message`.

    Replace the real source before the start: `pipeline.replace("orders", TestSource)`. All edges behind it then carry
    messages, even if the real source emits plain events.
    """

    __test__: ClassVar[bool] = False
    emits_messages = True


async def push_test_message(
    pipeline: Topology, source: str, data: object, metadata: Mapping[str, object] = NO_METADATA
) -> Outcome:
    """Push an event through a running pipeline from a source; return the worst outcome of its descendants.

    Broadway's `test_message`. Raises `GraphError` when the stage is no `TestSource`, `NoProcess` when it has ended.
    """
    (outcome,) = await push_test_batch(pipeline, source, [data], metadata)
    return outcome


async def push_test_batch(
    pipeline: Topology, source: str, batch: Iterable[object], metadata: Mapping[str, object] = NO_METADATA
) -> list[Outcome]:
    """Push events as `push_test_message` does, all in one list; return their outcomes in order."""
    handle = pipeline.stage(source)
    if not pipeline.is_made_by(source, TestSource):
        raise GraphError(
            source, f'is no source for tests: say pipeline.replace("{source}", TestSource) before the start'
        )
    loop = asyncio.get_running_loop()
    pushed = [(data, loop.create_future()) for data in batch]
    await handle.emit([Message(data, metadata, Acknowledgement(outcome.set_result)) for data, outcome in pushed])
    return [await outcome for _, outcome in pushed]
