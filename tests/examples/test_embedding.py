"""A pipeline in a FastAPI app and in a Django app: requests emit events, read events, and never break it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2
import pytest
import pytest_asyncio

from tests.fakes.asgi_server import AsgiServer, asgi_server, sold

pytestmark = pytest.mark.asyncio

APPS = ["examples.embedding.fastapi_app:app", "examples.embedding.django_app:application"]

PATHS = ["/orders", "/orders/wait", "/orders/sync"]

TEA = {"sku": "tea", "count": 1}
CAVIAR = {"sku": "caviar", "count": 1}
"""A product that the shop does not sell: a stage crashes on it."""


@pytest.fixture(params=APPS, ids=["fastapi", "django"])
def app(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def server(app: str) -> Iterator[AsgiServer]:
    with asgi_server(app) as server:
        yield server


@pytest_asyncio.fixture
async def client(server: AsgiServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.urls[0], timeout=30) as client:
        yield client


async def totals(client: httpx2.AsyncClient) -> dict[str, int]:
    found: dict[str, int] = (await client.get("/totals")).json()
    return found


async def until_sold(client: httpx2.AsyncClient, count: int) -> None:
    while (await totals(client)).get("tea", 0) < count:
        pass


@asynccontextmanager
async def stalled_reader(server: AsgiServer) -> AsyncIterator[asyncio.StreamReader]:
    """Request the stream, and read only its head."""
    address = urlsplit(server.urls[0])
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
    writer.write(b"GET /orders HTTP/1.1\r\nhost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader
    finally:
        writer.transport.abort()


async def fill(client: httpx2.AsyncClient) -> int:
    """Send orders until they are refused and none is handled. Return the number of accepted orders."""
    accepted, still = 0, 0
    before: dict[str, int] = {}
    while still < 20:
        answer = await client.post("/orders", json=[TEA] * 500)
        accepted += 500 if answer.status_code == 202 else 0
        now = await totals(client)
        still = still + 1 if answer.status_code == 429 and now == before else 0
        before = now
    assert answer.headers["retry-after"] == "1"
    assert now["tea"] < accepted
    return accepted


@pytest.mark.parametrize("path", PATHS)
async def test_what_a_view_takes_in_goes_through_the_pipeline(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.post(path, json=[TEA, {"sku": "milk", "count": 2}])).status_code == 202
    await until_sold(client, 1)
    assert await totals(client) == {"tea": 1, "milk": 2}


async def test_a_view_streams_a_stage_and_takes_nothing_from_its_consumers(client: httpx2.AsyncClient) -> None:
    async with client.stream("GET", "/orders") as stream:
        await client.post("/orders", json=[TEA, {"sku": "milk", "count": 2}])
        lines = stream.aiter_lines()
        assert [json.loads(await anext(lines)) for _ in range(2)] == [
            {"sku": "tea", "count": 1, "cents": 350},
            {"sku": "milk", "count": 2, "cents": 240},
        ]
    await until_sold(client, 1)


async def test_a_full_pipeline_answers_429_and_what_it_accepted_arrives_once_its_slow_reader_leaves(
    server: AsgiServer, client: httpx2.AsyncClient
) -> None:
    async with stalled_reader(server):
        accepted = await fill(client)
    await until_sold(client, accepted)
    assert (await client.post("/orders", json=[TEA])).status_code == 202
    await until_sold(client, accepted + 1)


@pytest.mark.parametrize("path", ["/orders/wait", "/orders/sync"])
async def test_orders_wait_for_room_and_are_taken_in_once_there_is(
    server: AsgiServer, client: httpx2.AsyncClient, path: str
) -> None:
    async with asyncio.TaskGroup() as group:
        async with stalled_reader(server):
            accepted = await fill(client)
            waiting = group.create_task(client.post(path, json=[TEA] * 1000))
            assert (await client.post("/orders", json=[TEA] * 1000)).status_code == 429
            assert not waiting.done()
        assert (await waiting).status_code == 202
    await until_sold(client, accepted + 1000)


async def test_what_was_accepted_before_the_app_is_told_to_end_goes_through(
    server: AsgiServer, client: httpx2.AsyncClient
) -> None:
    async with stalled_reader(server):
        accepted = await fill(client)
        stdout, _ = await server.end()
    assert sold(stdout) == {"tea": accepted}


async def test_a_reader_that_left_while_nothing_came_does_not_keep_the_app(
    server: AsgiServer, client: httpx2.AsyncClient
) -> None:
    async with stalled_reader(server):
        pass
    await client.post("/orders", json=[TEA])
    await client.aclose()
    stdout, stderr = await server.end()
    assert (sold(stdout), stderr) == ({"tea": 1}, "")


async def test_a_crash_of_a_stage_shows_and_the_app_goes_on(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/orders", json=[CAVIAR])).status_code == 202
    ready = await client.get("/ready")
    while not (prices := ready.json()["stages"][1])["restarts"]:
        ready = await client.get("/ready")
    assert (ready.status_code, prices) == (
        200,
        {"stage": "prices", "state": "running", "restarts": 1, "errors": {"KeyError": 1}},
    )
    await client.post("/orders", json=[TEA])
    await until_sold(client, 1)


async def test_a_pipeline_that_gave_up_shows_and_takes_in_nothing_and_the_app_goes_on(
    client: httpx2.AsyncClient,
) -> None:
    while (await client.post("/orders", json=[CAVIAR])).status_code == 202:
        pass
    ready = await client.get("/ready")
    assert (ready.status_code, ready.json()["state"]) == (503, "failed")
    assert "'prices' failed again after 3 restarts" in ready.json()["reason"]
    for path in PATHS:
        assert (await client.post(path, json=[TEA])).status_code == 503
    assert await totals(client) == {}


async def test_two_loops_have_a_pipeline_each(app: str) -> None:
    with asgi_server(app, loops=2) as server:
        one, other = (httpx2.AsyncClient(base_url=url, timeout=30) for url in server.urls)
        async with one, other:
            for client, count in ((one, 3), (other, 2)):
                await client.post("/orders", json=[TEA] * count)
            for client, count in ((one, 3), (other, 2)):
                await until_sold(client, count)
                assert await totals(client) == {"tea": count}
        await server.end()
