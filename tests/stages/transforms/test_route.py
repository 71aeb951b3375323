"""Each event goes by the first output that wants it, whatever becomes of the others."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.config.pipeline import Pipeline
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.topology import Topology
from headrace.stages.transforms.route import Route, RouteOptions
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Kept

DONE, FAILED = Outcome.DONE, Outcome.FAILED


def route(**options: object) -> Route:
    return Route(RouteOptions.model_validate(options))


def _itself(sink: Kept) -> Kept:
    return sink


async def routed(
    source: Callable[[], Producer[Any]], **options: object
) -> tuple[dict[str, list[object]], RunOutcome, int]:
    """Return what went by each output, how the run ended, and how many events were discarded."""
    topology, kept = Topology(), dict[str, Kept]()
    topology.add("source", source)
    topology.add("route", lambda: route(**options), subscribe_to="source")
    for name in route(**options).outputs:
        sink = kept[name] = Kept()
        topology.add(name, partial(_itself, sink), subscribe_to=SubscribeTo("route", output=name))
    await topology.start()
    outcome = await topology.join()
    discarded = topology.snapshot().stages[1].discarded["unrouted"]
    return {name: sink.data for name, sink in kept.items()}, outcome, discarded


@given(st.lists(st.integers(0, 30)), st.sampled_from(["fail", "discard", "rest", "two"]))
def test_the_first_output_that_wants_an_event_gets_it(events: list[int], default: str) -> None:
    wants = {"two": "event % 2 == 0", "three": "event % 3 == 0"}
    got, outcome, discarded = asyncio.run(routed(Producer.from_stream(events), outputs=wants, default=default))
    two = [event for event in events if event % 2 == 0]
    others = [event for event in events if event % 2 and event % 3]
    assert got["three"] == [event for event in events if event % 2 and event % 3 == 0]
    assert outcome.events_failed == (len(others) if default == "fail" else 0)
    assert discarded == (len(others) if default == "discard" else 0)
    if default == "two":
        assert got["two"] == [event for event in events if event % 2 == 0 or event % 3]
    else:
        assert got["two"] == two
    assert got.get("rest", others) == others


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("default", "last"), [("fail", [DONE, DONE, FAILED]), ("discard", [DONE] * 3), ("rest", [DONE] * 3)]
)
async def test_the_source_hears_of_each_event_once(default: str, last: list[Outcome]) -> None:
    source = Told(6)
    got, _, _ = await routed(
        lambda: source, outputs={"few": "6 / (event - 1) >= 3", "more": "event < 6"}, default=default
    )
    assert got["few"] == [2, 3]
    assert source.outcomes() == [FAILED, DONE, DONE, *last]


@pytest.mark.asyncio
async def test_a_config_runs_it(tmp_path: Path) -> None:
    text = f"""
listen: off
stages:
  numbers: {{type: generate, count: 1000, template: {{n: event.n}}}}
  parts: {{type: route, subscribe_to: numbers, outputs: {{low: event.n < 300, high: event.n >= 600}}, default: middle}}
  low: {{type: write_lines, path: {tmp_path}/low, subscribe_to: {{stage: parts, output: low}}}}
  twice: {{type: write_lines, path: {tmp_path}/twice, subscribe_to: {{stage: parts, output: low}}}}
  rest: {{type: write_lines, path: {tmp_path}/rest, subscribe_to: [{{stage: parts, output: high}},
         {{stage: parts, output: middle}}]}}
"""
    pipeline = Pipeline.from_text(text)
    await pipeline.start()
    assert (await pipeline.join()).is_fine
    numbers = {
        name: [json.loads(line)["n"] for line in (tmp_path / name).read_text().splitlines()]
        for name in ("low", "twice", "rest")
    }
    assert numbers["low"] == numbers["twice"] == list(range(300))
    assert sorted(numbers["rest"]) == list(range(300, 1000))


@pytest.mark.asyncio
async def test_copies_of_a_route_share_its_outputs(tmp_path: Path) -> None:
    text = f"""
listen: off
stages:
  numbers: {{type: generate, count: 1000, template: {{n: event.n}}}}
  parts: {{type: route, subscribe_to: numbers, concurrency: 3, partition_by: event.n,
          outputs: {{low: event.n < 300}}, default: discard}}
  low: {{type: write_lines, path: {tmp_path}/low, subscribe_to: {{stage: parts, output: low}}}}
"""
    pipeline = Pipeline.from_text(text)
    await pipeline.start()
    assert (await pipeline.join()).is_fine
    found = [json.loads(line)["n"] for line in (tmp_path / "low").read_text().splitlines()]
    assert sorted(found) == list(range(300))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"outputs": {}}, "at least 1"),
        ({"outputs": {"errors": "event.a"}}, "no output can be called errors"),
        ({"outputs": {"fail": "event.a"}}, "no output can be called fail"),
        ({"outputs": {"a b": "event.a"}}, "pattern"),
        ({"outputs": {"a": "event.a"}, "default": "errors"}, "must not be called errors"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        RouteOptions.model_validate(options)
