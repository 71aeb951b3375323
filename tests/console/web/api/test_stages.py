"""Stages over HTTP: how they stand, and what is changed while they run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.config.pipeline import Pipeline
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.console.web.serving import TOKEN, served
from tests.fakes.console_stages import Crashing, Numbers, Shelf, Stuck
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio

PATH = "/api/stages"
JSON = {"content-type": "application/json"}


class Doubles(ProducerConsumer[int, int]):
    """Doubles numbers, several at a time."""

    per_event = True

    async def handle_events(self, events: list[int]) -> list[int]:
        return [2 * event for event in events]


def topology_of() -> Topology:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(20, stays_open=True))
    doubled = SubscribeTo("numbers", max_demand=10, min_demand=4)
    settings = StageSettings(concurrency=Concurrency(2), buffer_keep="first")
    topology.add("doubles", Doubles, subscribe_to=doubled, settings=settings)
    topology.add("shelf", Shelf, subscribe_to="doubles")
    return topology


@asynccontextmanager
async def running(**said: object) -> AsyncIterator[tuple[Topology, httpx2.AsyncClient]]:
    topology = topology_of()
    async with served(topology, **said) as client, topology:
        yield topology, client


async def stage(client: httpx2.AsyncClient, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"{PATH}/{name}")).json()
    return found


async def test_a_side_output_says_whose_it_is() -> None:
    topology = topology_of()
    topology.add("bad", Shelf, subscribe_to=SubscribeTo("doubles", output="errors"))
    async with served(topology) as client, topology:
        found = (await client.get(PATH)).json()["stages"]
    assert {one["name"]: one["output_of"] for one in found} == {
        "numbers": None,
        "doubles": None,
        "shelf": None,
        "doubles.errors": "doubles",
        "bad": None,
    }


async def test_stages_are_listed_with_their_counts_and_what_they_ask_for() -> None:
    async with running() as (topology, client):
        await until(lambda: topology.snapshot().stages[2].events_received == 20)
        found = (await client.get(PATH)).json()
    assert (found["pipeline"], found["state"]) == ("shop", "running")
    numbers, doubles, shelf = found["stages"]
    assert [one["name"] for one in found["stages"]] == ["numbers", "doubles", "shelf"]
    assert [one["kind"] for one in found["stages"]] == ["producer", "producer_consumer", "consumer"]
    assert [one["concurrency"] for one in found["stages"]] == [None, 2, None]
    assert (numbers["events_sent"], doubles["events_received"], shelf["events_received"]) == (20, 20, 20)
    assert numbers["subscriptions"] == []
    asked = {"producer": "numbers", "max_demand": 10, "min_demand": 4}
    assert {name: doubles["subscriptions"][0][name] for name in asked} == asked
    assert (doubles["type"], doubles["stall"], doubles["error"], doubles["is_paused"]) == (None, None, None, False)


async def test_a_stage_of_a_config_tells_its_type_and_so_do_its_copies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    text = """
stages:
  ticks: {type: generate, rate: 1000/s}
  twice: {type: map, subscribe_to: ticks, set: {n: event}, partition_by: event, concurrency: 2}
  sink: {type: discard, subscribe_to: twice}
"""
    pipeline = Pipeline.from_text(text, environ={})
    async with served(pipeline) as client, pipeline:
        found = {one["name"]: one["type"] for one in (await client.get(PATH)).json()["stages"]}
    assert found == {"ticks": "generate", "twice": "map", "twice.1": "map", "twice.2": "map", "sink": "discard"}


async def test_a_paused_stage_stands_still_until_it_is_resumed() -> None:
    async with running() as (topology, client):
        paused = await client.post(f"{PATH}/shelf/pause", json={})
        assert (paused.status_code, paused.json()["is_paused"]) == (200, True)
        assert topology.stage("shelf").is_paused
        resumed = await client.post(f"{PATH}/shelf/resume", json={})
        assert (resumed.status_code, resumed.json()["is_paused"]) == (200, False)
        await until(lambda: topology.snapshot().stages[2].events_received == 20)


async def test_a_stage_is_scaled_resized_and_asks_for_another_number() -> None:
    async with running() as (topology, client):
        words = {"concurrency": 7, "buffer_size": 3, "demand": {"numbers": {"max_demand": 50, "min_demand": 1}}}
        answer = await client.patch(f"{PATH}/doubles", json=words)
        assert answer.status_code == 200
        found = await stage(client, "doubles")
        assert (found["concurrency"], found["buffer_limit"]) == (7, 3)
        (asked,) = found["subscriptions"]
        assert (asked["max_demand"], asked["min_demand"]) == (50, 1)
        await client.patch(f"{PATH}/doubles", json={"buffer_size": None, "demand": {"numbers": {"max_demand": 8}}})
        found = await stage(client, "doubles")
        assert (found["concurrency"], found["buffer_limit"]) == (7, None)
        assert [(one["max_demand"], one["min_demand"]) for one in found["subscriptions"]] == [(8, 4)]
        assert [one.to.producer for one in topology.stage("doubles").subscriptions()] == ["numbers"]


BAD_WORDS: list[tuple[str, object, str]] = [
    ("doubles", {}, "say what to change"),
    ("doubles", {"concurrency": None}, "say what to change"),
    ("doubles", {"concurrency": 0}, "concurrency"),
    ("doubles", {"concurrency": True}, "concurrency"),
    ("doubles", {"concurrency": 10**10}, "concurrency"),
    ("doubles", {"buffer_size": -1}, "buffer_size"),
    ("doubles", {"buffer": 1}, "`buffer` is not known here: there are concurrency, buffer_size, demand"),
    ("doubles", {"demand": {"numbers": {"max_demand": 0}}}, "demand.numbers.max_demand"),
    ("doubles", {"demand": {"numbers": {"max_demand": 5, "min_demand": 5}}}, "below max_demand"),
    ("doubles", {"demand": {"numbers": {}}}, "demand.numbers.max_demand"),
    ("doubles", [1], "this must be a mapping"),
]


@pytest.mark.parametrize(("name", "words", "why"), BAD_WORDS, ids=[str(words) for _, words, _ in BAD_WORDS])
async def test_words_that_cannot_be_are_a_bad_request(name: str, words: object, why: str) -> None:
    async with running() as (_, client):
        answer = await client.patch(f"{PATH}/{name}", json=words)
    assert (answer.status_code, why in answer.json()["error"]) == (400, True), answer.text


NOT_FOR_IT: list[tuple[str, dict[str, object], str]] = [
    ("shelf", {"concurrency": 2}, "one after another"),
    ("shelf", {"buffer_size": 2}, "buffers nothing"),
    ("numbers", {"demand": {"shelf": {"max_demand": 2}}}, "its producers: none"),
    ("doubles", {"concurrency": 9, "demand": {"nobody": {"max_demand": 2}}}, "its producers: 'numbers'"),
]


@pytest.mark.parametrize(("name", "words", "why"), NOT_FOR_IT, ids=[why for _, _, why in NOT_FOR_IT])
async def test_what_is_not_for_a_stage_is_a_conflict_and_changes_nothing(
    name: str, words: dict[str, object], why: str
) -> None:
    async with running() as (_, client):
        answer = await client.patch(f"{PATH}/{name}", json=words)
        assert (answer.status_code, why in answer.json()["error"]) == (409, True), answer.text
        assert (await stage(client, "doubles"))["concurrency"] == 2


async def test_a_stage_that_is_not_there_is_named_as_such() -> None:
    async with running() as (_, client):
        for answer in (
            await client.get(f"{PATH}/nobody"),
            await client.post(f"{PATH}/nobody/pause", json={}),
            await client.post(f"{PATH}/nobody/resume", json={}),
            await client.patch(f"{PATH}/nobody", json={"concurrency": 2}),
        ):
            assert (answer.status_code, "numbers, doubles, shelf" in answer.json()["error"]) == (404, True)


async def test_a_run_that_drains_lets_nothing_pause_and_what_has_ended_changes_no_more() -> None:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(20, stays_open=True))
    stuck = Stuck()
    topology.add("stuck", lambda: stuck, subscribe_to="numbers")
    async with served(topology) as client, asyncio.TaskGroup() as group:
        await topology.start()
        await stuck.is_stuck.wait()
        group.create_task(topology.drain(600))
        await until(lambda: topology.state == "draining")
        answer = await client.post(f"{PATH}/stuck/pause", json={})
        assert (answer.status_code, "draining" in answer.json()["error"]) == (409, True)
        assert (await client.post(f"{PATH}/stuck/resume", json={})).status_code == 200
        await topology.stop()
        for verb in ("pause", "resume"):
            answer = await client.post(f"{PATH}/stuck/{verb}", json={})
            assert (answer.status_code, "it is stopped" in answer.json()["error"]) == (409, True)
        assert (await client.patch(f"{PATH}/stuck", json={"concurrency": 2})).status_code == 409


async def test_before_the_run_there_is_a_sentence() -> None:
    async with served(topology_of()) as client:
        for answer in (await client.get(PATH), await client.post(f"{PATH}/shelf/pause", json={})):
            assert (answer.status_code, answer.json()) == (503, {"error": "the run has not begun"})


async def test_what_a_page_of_another_origin_could_send_changes_nothing() -> None:
    async with running() as (topology, client):
        for headers in ({}, {"content-type": "text/plain"}):
            assert (await client.post(f"{PATH}/shelf/pause", content="{}", headers=headers)).status_code == 415
            answer = await client.patch(f"{PATH}/doubles", content='{"concurrency": 3}', headers=headers)
            assert answer.status_code == 415
        assert (await client.post(f"{PATH}/shelf/pause", content="{", headers=JSON)).status_code == 400
        assert (await client.post(f"{PATH}/shelf/pause", json={"a": 1})).status_code == 400
        assert (await client.post(f"{PATH}/shelf/pause", content=b" " * 70_000, headers=JSON)).status_code == 413
        assert not topology.stage("shelf").is_paused


async def test_the_token_guards_stages() -> None:
    async with running(token=TOKEN) as (topology, client):
        assert (await client.get(PATH)).status_code == 401
        assert (await client.post(f"{PATH}/shelf/pause", json={})).status_code == 401
        assert not topology.stage("shelf").is_paused
        client.headers["authorization"] = f"Bearer {TOKEN}"
        assert (await client.post(f"{PATH}/shelf/pause", json={})).status_code == 200


async def test_a_run_that_failed_still_tells_why() -> None:
    topology = Topology("shop", max_restarts=0)
    topology.add("numbers", lambda: Numbers(1, stays_open=True))
    topology.add("crash", Crashing, subscribe_to="numbers")
    async with served(topology) as client:
        await topology.run()
        found = (await client.get(PATH)).json()
    assert found["state"] == "failed"
    assert found["stages"][1]["error"] == "RuntimeError: secret-of-the-batch"
