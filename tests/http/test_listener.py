"""The listener, asked over a real socket."""

import asyncio
import signal

import pytest

from headrace.pipeline.topology.topology import Topology
from headrace.telemetry.counts import PROCESS_NAMES
from tests.console.web.serving import TOKEN, served
from tests.fakes.console_stages import Crashing, Numbers, Opening, Shelf, Stuck

pytestmark = pytest.mark.asyncio


def shelf_topology(shelf: Shelf, count: int = 10) -> Topology:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(count, stays_open=True))
    topology.add("shelf", lambda: shelf, subscribe_to="numbers")
    return topology


async def test_health_is_200_while_the_process_lives_whatever_the_pipeline_does() -> None:
    topology = shelf_topology(Shelf())
    async with served(topology) as client:
        before = await client.get("/health")
        async with topology:
            during = await client.get("/health")
        after = await client.get("/health")
    assert [answer.status_code for answer in (before, during, after)] == [200, 200, 200]
    assert [answer.json()["state"] for answer in (before, during, after)] == ["new", "running", "drained"]
    assert during.json()["alive"] is True


async def test_ready_is_200_only_while_every_stage_runs() -> None:
    topology = shelf_topology(Shelf())
    async with served(topology) as client:
        new = await client.get("/ready")
        async with topology:
            running = await client.get("/ready")
        completed = await client.get("/ready")
    assert [answer.status_code for answer in (new, running, completed)] == [503, 200, 503]
    assert running.json() == {
        "ready": True,
        "pipeline": "shop",
        "state": "running",
        "stalls": [],
        "stages": [
            {"stage": "numbers", "kind": "producer", "state": "running", "error": None, "connections": []},
            {"stage": "shelf", "kind": "consumer", "state": "running", "error": None, "connections": []},
        ],
    }


async def test_ready_is_503_while_a_stage_still_opens() -> None:
    opening = Opening()
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(1, stays_open=True))
    topology.add("opening", lambda: opening, subscribe_to="numbers")
    async with served(topology) as client, asyncio.TaskGroup() as group:
        starting = group.create_task(topology.start())
        await opening.opens.wait()
        answer = await client.get("/ready")
        opening.may_open.set()
        await starting
        later = await client.get("/ready")
        await topology.drain()
    assert answer.status_code == 503
    assert answer.json()["stages"][1]["state"] == "starting"
    assert later.status_code == 200


async def test_ready_is_503_while_draining() -> None:
    stuck = Stuck()
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(1))
    topology.add("stuck", lambda: stuck, subscribe_to="numbers")
    async with served(topology) as client, asyncio.TaskGroup() as group:
        await topology.start()
        await stuck.is_stuck.wait()
        draining = group.create_task(topology.drain(30))
        await asyncio.sleep(0)  # the drain takes its first step, and is then held up by what is stuck
        answer = await client.get("/ready")
        await topology.stop()
        await draining
    assert answer.status_code == 503
    assert answer.json()["state"] == "draining"


async def failed() -> Topology:
    topology = Topology("shop", max_restarts=0)
    topology.add("numbers", lambda: Numbers(1))
    topology.add("crashing", Crashing, subscribe_to="numbers")
    await topology.start()
    await topology.join()
    return topology


async def test_ready_is_503_after_a_failure_and_says_why() -> None:
    async with served(await failed()) as client:
        answer = await client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["state"] == "failed"
    assert answer.json()["stages"][1]["error"] == "RuntimeError: secret-of-the-batch"


async def test_ready_shows_no_more_than_the_class_of_an_error_to_whoever_lacks_the_token() -> None:
    async with served(await failed(), token=TOKEN) as client:
        anonymous = await client.get("/ready")
        known = await client.get("/ready", headers={"Authorization": f"Bearer {TOKEN}"})
    assert anonymous.json()["stages"][1]["error"] == "RuntimeError"
    assert known.json()["stages"][1]["error"] == "RuntimeError: secret-of-the-batch"


async def test_metrics_follow_the_events() -> None:
    shelf = Shelf(enough=10)
    topology = shelf_topology(shelf)
    async with served(topology) as client, topology:
        await shelf.is_full.wait()
        answer = await client.get("/metrics")
    labels = 'kind="consumer",pipeline="shop",stage="shelf"'
    assert f"headrace_stage_events_received_total{{{labels}}} 10.0" in answer.text.splitlines()
    assert 'shelf_events_total{parity="odd",pipeline="shop",stage="shelf"} 5.0' in answer.text.splitlines()
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_metrics_come_in_openmetrics_for_whoever_prefers_it() -> None:
    topology = shelf_topology(Shelf())
    async with served(topology) as client, topology:
        answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("\n# EOF\n")


async def test_metrics_before_the_start_tell_of_the_os_process_alone() -> None:
    async with served(shelf_topology(Shelf())) as client:
        answer = await client.get("/metrics")
    names = {line.split("{")[0].split(" ")[0] for line in answer.text.splitlines() if not line.startswith("#")}
    assert {name for name in names if name not in PROCESS_NAMES} == {"headrace_build_info"}
    assert "process_cpu_seconds_total" in names


async def test_many_scrapes_at_once_are_each_whole() -> None:
    topology = shelf_topology(Shelf())
    async with served(topology) as client, topology, asyncio.TaskGroup() as group:
        accepts = ["text/plain", "application/openmetrics-text"] * 8
        scrapes = [group.create_task(client.get("/metrics", headers={"Accept": accept})) for accept in accepts]
    endings = [scrape.result().text.endswith("# EOF\n") for scrape in scrapes]
    assert endings == [False, True] * 8


async def test_the_index_names_what_can_be_asked() -> None:
    async with served(shelf_topology(Shelf())) as client:
        answer = await client.get("/")
    assert answer.status_code == 200
    assert all(path in answer.text for path in ("/metrics", "/ready", "/health"))


async def test_head_answers_as_get_without_a_body() -> None:
    topology = shelf_topology(Shelf())
    async with served(topology) as client, topology:
        pairs = [(await client.head(path), await client.get(path)) for path in ("/", "/metrics", "/health", "/ready")]
    for head, get in pairs:
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


async def test_other_methods_are_not_allowed() -> None:
    async with served(shelf_topology(Shelf())) as client:
        answers = [await client.request(method, "/metrics") for method in ("POST", "PUT", "DELETE", "PATCH")]
    assert {answer.status_code for answer in answers} == {405}
    assert set(answers[0].headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_an_unknown_path_is_404_and_redirects_nowhere() -> None:
    async with served(shelf_topology(Shelf())) as client:
        statuses = [(await client.get(path)).status_code for path in ("/metrics/", "/api", "/metricsx")]
    assert statuses == [404, 404, 404]


async def test_the_server_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with served(shelf_topology(Shelf())) as client:
        await client.get("/health")
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
