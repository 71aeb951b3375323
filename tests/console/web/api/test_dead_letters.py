"""Dead letters over HTTP: lists, one letter, replays into a run that is under way, and what is refused."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.dead_letters.dead_letter import NewDeadLetter
from headrace.dead_letters.service import DeadLetterService
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import UNBOUNDED
from headrace.pipeline.topology.topology import Topology
from tests.console.web.serving import TOKEN, served
from tests.fakes.dead_letters import LetterClock, failed, letter
from tests.fakes.failing_stages import Kept, OneToOne, Table
from tests.fakes.flow_stages import Silent
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio

PATH = "/api/dead-letters"
UP = 'headrace_connection_up{{connection="dead_letters",pipeline="shop",stage=""}} {:.1f}\n'


class Served:
    """A run with three letters of its stage, one of a stage that is gone, and one of another pipeline."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteDeadLetterStore(path, UNBOUNDED, now=LetterClock())
        self.sink = Kept()
        self.topology = Topology("shop")
        self.topology.add_service(DeadLetterService(self.store, "shop"))
        self.topology.add("source", Silent)
        self.topology.add("price", lambda: OneToOne(Table({})), subscribe_to="source")
        self.topology.add("sink", lambda: self.sink, subscribe_to="price")

    async def fill(self) -> None:
        clock = self.store.now
        assert isinstance(clock, LetterClock)
        for number in (1, 2, 3):
            await self.store.put([letter(number)])
            clock.move(60)
        await self.store.put([letter("x" * 5000, stage="gone", error=failed(OSError("gone")))])
        await self.store.put([NewDeadLetter("other", "price", 4, failed(OSError("gone")))])

    async def ids(self, client: httpx2.AsyncClient, **query: Any) -> list[int]:
        return [one["id"] for one in (await client.get(PATH, params=query)).json()["dead_letters"]]


@asynccontextmanager
async def running(tmp_path: Path, **said: object) -> AsyncIterator[tuple[Served, httpx2.AsyncClient]]:
    run = Served(tmp_path / "dead.db")
    async with served(run.topology, **said) as client, run.topology:
        await run.fill()
        yield run, client


async def test_letters_are_listed_by_what_they_have_in_common(tmp_path: Path) -> None:
    async with running(tmp_path) as (run, client):
        found = (await client.get(PATH)).json()
        assert found["total"] == 4
        assert [one["id"] for one in found["dead_letters"]] == [4, 3, 2, 1]
        assert found["dead_letters"][0]["event"] == '"' + "x" * 4095
        assert found["dead_letters"][0]["is_shortened"]
        assert found["dead_letters"][3]["event"] == 1
        assert "traceback" not in found["dead_letters"][3]["error"]
        assert await run.ids(client, stage="price", limit=2) == [3, 2]
        assert await run.ids(client, stage=["price", "gone"], before=4) == [3, 2, 1]
        assert await run.ids(client, error="OSError") == [4]
        assert await run.ids(client, older="1s") == [4, 3, 2, 1]
        assert await run.ids(client, waiting="true") == []


async def test_a_letter_is_shown_whole_and_that_of_another_pipeline_is_not_there(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        found = (await client.get(f"{PATH}/4")).json()
        assert found["event"] == "x" * 5000
        assert "Traceback" in found["error"]["traceback"]
        assert (await client.get(f"{PATH}/5")).status_code == 404
        assert (await client.get(f"{PATH}/99")).status_code == 404
        assert (await client.get(f"{PATH}/no")).status_code == 404


async def test_letters_are_replayed_into_the_run_that_is_under_way(tmp_path: Path) -> None:
    async with running(tmp_path) as (run, client):
        answer = await client.post(f"{PATH}/replay", json={"stages": ["price"], "rate": "1000/s"})
        assert (answer.status_code, answer.json()) == (200, {"changed": 3})
        await until(lambda: len(run.sink.data) == 3)
    assert run.sink.data == ["<1>", "<2>", "<3>"]
    with sqlite3.connect(run.store.path) as connection:
        assert connection.execute("select id from headrace_dead_letters order by id").fetchall() == [(4,), (5,)]
    connection.close()


async def test_a_replay_is_called_off_while_nothing_takes_it(tmp_path: Path) -> None:
    async with running(tmp_path) as (run, client):
        assert (await client.post(f"{PATH}/replay", json={"ids": [4, 5]})).json() == {"changed": 1}
        assert await run.ids(client, waiting="true") == [4]
        assert (await client.post(f"{PATH}/cancel", json={"all": True})).json() == {"changed": 1}
        assert await run.ids(client, waiting="true") == []


async def test_letters_are_dropped(tmp_path: Path) -> None:
    async with running(tmp_path) as (run, client):
        assert (await client.post(f"{PATH}/drop", json={"ids": [1, 99]})).json() == {"changed": 1}
        assert (await client.post(f"{PATH}/drop", json={"older": "1s", "errors": ["KeyError"]})).json() == {
            "changed": 2
        }
        assert await run.ids(client) == [4]


REFUSED = [
    ({}, 422, "say which letters"),
    ({"stage": ["price"]}, 422, "`stage` is not known here: there are ids, stages"),
    ({"older": "7"}, 422, "`older` has no unit: write 7s"),
    ({"older": "9999999w"}, 422, "`older` reaches back before the year 1"),
    ({"ids": ["a"]}, 422, "ids"),
    ([1], 422, "this must be a mapping"),
    ({"ids": list(range(20_000))}, 413, "longer than 65536 bytes"),
]


@pytest.mark.parametrize(("body", "status", "why"), REFUSED, ids=[why for _, _, why in REFUSED])
async def test_what_does_not_say_which_letters_changes_nothing(
    tmp_path: Path, body: object, status: int, why: str
) -> None:
    async with running(tmp_path) as (run, client):
        for verb in ("replay", "cancel", "drop"):
            answer = await client.post(f"{PATH}/{verb}", json=body)
            assert (answer.status_code, why in answer.json()["error"]) == (status, True), answer.text
        assert len(await run.ids(client)) == 4


async def test_what_a_page_of_another_origin_could_send_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as (run, client):
        answer = await client.post(f"{PATH}/drop", content='{"all": true}', headers={"content-type": "text/plain"})
        assert answer.status_code == 415
        answer = await client.post(f"{PATH}/drop", content="{", headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert (await client.get(f"{PATH}/drop")).status_code == 405
        assert len(await run.ids(client)) == 4


async def test_a_bad_query_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        for query, why in (("limit=0", "limit"), ("older=7", "older"), ("stages=a", "stages"), ("before=a", "before")):
            answer = await client.get(f"{PATH}?{query}")
            assert (answer.status_code, why in answer.json()["error"]) == (422, True)


async def test_the_token_guards_letters(tmp_path: Path) -> None:
    async with running(tmp_path, token=TOKEN) as (run, client):
        assert (await client.get(PATH)).status_code == 401
        assert (await client.post(f"{PATH}/drop", json={"all": True})).status_code == 401
        client.headers["authorization"] = f"Bearer {TOKEN}"
        assert len(await run.ids(client)) == 4


async def test_without_a_store_and_without_a_run_there_is_a_sentence(tmp_path: Path) -> None:
    run = Served(tmp_path / "dead.db")
    async with served(run.topology) as client:
        answer = await client.get(PATH)
        assert (answer.status_code, "not open" in answer.json()["error"]) == (503, True)
    async with served(Topology("shop")) as client:
        answer = await client.get(PATH)
        assert (answer.status_code, "no key `dead_letters:`" in answer.json()["error"]) == (404, True)


async def test_metrics_say_how_much_is_kept_and_what_was_dropped(tmp_path: Path) -> None:
    async with running(tmp_path) as (run, client):
        text = (await client.get("/metrics")).text
        found = {
            (sample.name, sample.labels.get("reason")): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert found["headrace_dead_letters", None] == 5
        assert found["headrace_dead_letters_bytes", None] == run.store.counts().size_bytes
        for reason in ("age", "count", "size"):
            assert found["headrace_dead_letters_dropped_total", reason] == 0


async def test_a_store_that_is_gone_is_not_ready(tmp_path: Path) -> None:
    async with running(tmp_path) as (run, client):
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()["dead_letters"]) == (200, {"store": "open", "error": None})
        assert UP.format(1) in (await client.get("/metrics")).text
        _take_away(run.store.path)
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()["dead_letters"]["store"]) == (503, "failed")
        assert "deleted or replaced" in answer.json()["dead_letters"]["error"]
        assert UP.format(0) in (await client.get("/metrics")).text
        assert (await client.get(PATH)).status_code == 503


def _take_away(path: Path) -> None:
    path.rename(path.with_suffix(".gone"))
