"""Connections of the listener: slow and idle ones end, and probes are answered whatever the others do."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import httpx2
import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.http.address import Address, bind
from headrace.http.listener import Listener
from headrace.http.listener_connection import CONNECTIONS, Deadlines
from headrace.pipeline.topology.topology import Topology
from tests.console.web.serving import served
from tests.fakes.console_stages import Numbers, Shelf
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio

SHORT = 0.02
LONG = 60.0
HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/stages/numbers/pause HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def any_topology() -> Topology:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(1, stays_open=True))
    topology.add("shelf", Shelf, subscribe_to="numbers")
    return topology


@asynccontextmanager
async def listening(app: ASGIApp, deadlines: Deadlines) -> AsyncIterator[Listener]:
    """Answer with `app`; the listener's port is that of its first socket."""
    sockets = bind(Address("127.0.0.1", 0), asks_token=False)
    listener = Listener(app, sockets, deadlines)
    async with asyncio.TaskGroup() as group:
        group.create_task(listener.serve())
        await listener.answers()
        yield listener
        listener.should_exit = True


def port_of(listener: Listener) -> int:
    return int(listener.servers[0].sockets[0].getsockname()[1])


@asynccontextmanager
async def peer_at(port: int, sent: bytes = b"") -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    yield reader, writer
    writer.close()


def peer_of(client: httpx2.AsyncClient, sent: bytes = b"") -> AbstractAsyncContextManager[Peer]:
    assert client.base_url.port is not None
    return peer_at(client.base_url.port, sent)


@pytest.mark.parametrize(
    ("sent", "deadlines", "status"),
    [
        (b"", Deadlines(SHORT, LONG, LONG), b""),
        (HEAD, Deadlines(SHORT, LONG, LONG), b"HTTP/1.1 408"),
        (POST + b"Content-Length: 9\r\n\r\n{", Deadlines(LONG, SHORT, LONG), b"HTTP/1.1 408"),
        (HEAD + b"\r\n" + HEAD, Deadlines(SHORT, LONG, LONG), b"HTTP/1.1 200"),
    ],
    ids=["idle", "half a head", "half a body", "half a second head"],
)
async def test_a_connection_that_sends_too_little_is_closed_in_time(
    sent: bytes, deadlines: Deadlines, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    topology = any_topology()
    async with served(topology, deadlines) as client, topology, peer_of(client, sent) as (reader, _):
        answer = await reader.read()
        assert answer[: len(b"HTTP/1.1 408")] == status
        assert (await client.get("/health")).status_code == 200
    assert "ASGI" not in caplog.text


NOT_HTTP = b"zz\r\n"
CHUNKED = b"POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("is_answered", [True, False], ids=["behind the answer", "before the answer"])
async def test_a_body_that_is_not_http_ends_its_connection_and_leaves_no_traceback(
    caplog: pytest.LogCaptureFixture,
    is_answered: bool,  # noqa: FBT001 - a parameter
) -> None:
    sent = CHUNKED if is_answered else CHUNKED + NOT_HTTP
    async with served(any_topology()) as client, peer_of(client, sent) as (reader, writer):
        if is_answered:
            await reader.readuntil(b"Method Not Allowed")
            writer.write(NOT_HTTP)
        assert (b"HTTP/1.1 400 " in await reader.read()) is not is_answered
        assert (await client.get("/health")).status_code == 200
    assert "Error" not in caplog.text


async def test_a_byte_now_and_then_wins_no_time() -> None:
    async with served(any_topology(), Deadlines(0.1, LONG, LONG)) as client, peer_of(client) as (reader, writer):
        reading = asyncio.ensure_future(reader.read())
        for byte in HEAD + b"X-Slow: " + b"y" * 100_000:
            writer.write(bytes([byte]))
            if (await asyncio.wait({reading}, timeout=0.005))[0]:
                break
        await asyncio.wait({reading})
        if not isinstance(reading.exception(), ConnectionResetError):  # a byte met the socket that was closed
            assert reading.result().startswith(b"HTTP/1.1 408 ")


async def test_an_answer_that_is_not_read_is_dropped_in_time() -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"x" * 2**24)(scope, receive, send)

    async with listening(large, Deadlines(LONG, LONG, SHORT)) as listener:
        with socket.create_connection(("127.0.0.1", port_of(listener))) as client:
            client.sendall(HEAD + b"\r\n")
            await until(lambda: bool(listener.server_state.total_requests))
            await until(lambda: not listener.server_state.connections)


@pytest.mark.parametrize("sent", [b"", HEAD, POST + b"Content-Length: 9\r\n\r\n{"], ids=["idle", "head", "body"])
async def test_probes_are_answered_beside_more_silent_connections_than_may_be_open(sent: bytes) -> None:
    topology = any_topology()
    async with served(topology) as client, topology, AsyncExitStack() as stack:
        for _ in range(CONNECTIONS + 50):
            await stack.enter_async_context(peer_of(client, sent))
        for path in ("/health", "/ready", "/metrics"):
            assert (await client.get(path, headers={"Connection": "close"})).status_code == 200


async def test_connections_that_wait_for_the_app_are_kept_and_the_one_too_many_hears_503() -> None:
    may = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await may.wait()
        await PlainTextResponse("done")(scope, receive, send)

    last = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with listening(slow, Deadlines(SHORT, SHORT, SHORT)) as listener, AsyncExitStack() as stack:
        port = port_of(listener)
        peers = [await stack.enter_async_context(peer_at(port, last)) for _ in range(CONNECTIONS)]
        await until(lambda: len(listener.server_state.tasks) == CONNECTIONS)
        async with peer_at(port) as (reader, _):
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        may.set()
        assert {(await reader.read())[:12] for reader, _ in peers} == {b"HTTP/1.1 200"}
