"""A test feeds a pipeline, and hears what became of each event."""

from typing import Any

import pytest

from headrace.config.pipeline import Pipeline
from headrace.errors import GraphError, NoProcess
from headrace.pipeline.message import Outcome
from headrace.pipeline.testing import TestSource, push_test_batch, push_test_message
from tests.fakes.failing_stages import Kept

pytestmark = pytest.mark.asyncio

CONFIG = """\
listen: off
stages:
  orders: {type: read_lines, path: /nowhere/orders.jsonl, decode: json}
  large:  {type: filter, subscribe_to: orders, where: event.count > 10}
  halves: {type: map, subscribe_to: large, set: {half: 100 / (event.count - 13)}}
  kept:   {type: write_lines, subscribe_to: halves, path: /nowhere/kept.jsonl}
"""


def pipeline_of(sink: Kept) -> Pipeline:
    pipeline = Pipeline.from_text(CONFIG)
    pipeline.replace("orders", TestSource)
    pipeline.replace("kept", lambda: sink)
    return pipeline


async def test_each_event_comes_to_its_outcome() -> None:
    sink = Kept()
    async with pipeline_of(sink) as pipeline:
        assert await push_test_message(pipeline, "orders", {"count": 33}) is Outcome.DONE
        assert sink.data == [{"count": 33, "half": 5}]
        events = [{"count": 3}, {"count": 13}, {}, {"count": 14}]
        assert await push_test_batch(pipeline, "orders", events) == [
            Outcome.DONE,
            Outcome.FAILED,
            Outcome.FAILED,
            Outcome.DONE,
        ]
        await pipeline.drain()
        with pytest.raises(NoProcess):
            await push_test_message(pipeline, "orders", {"count": 1})


async def test_a_real_source_takes_no_test_message() -> None:
    pipeline = Pipeline.from_text(CONFIG)
    with pytest.raises(GraphError, match=r'say pipeline.replace\("orders", TestSource\) before the start'):
        await push_test_message(pipeline, "orders", {})


@pytest.mark.parametrize(
    ("name", "factory", "sentence"),
    [
        ("order", TestSource, "does not exist; did you mean 'orders'"),
        ("orders", Kept, "is a producer, and cannot be replaced by a consumer"),
    ],
)
async def test_what_cannot_stand_there_is_refused(name: str, factory: Any, sentence: str) -> None:
    pipeline = Pipeline.from_text(CONFIG)
    with pytest.raises(GraphError, match=sentence):
        pipeline.replace(name, factory)


async def test_a_stage_is_replaced_while_it_runs() -> None:
    former, sink = Kept(), Kept()
    async with pipeline_of(former) as pipeline:
        await pipeline.replace("kept", lambda: sink)
        assert pipeline.is_made_by("kept", Kept)
    assert former is not sink
