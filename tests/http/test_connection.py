"""Connections of the listener: slow and idle ones end, and probes are answered whatever the others do."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import httpx2
import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.http.address import Address, bind, port_of
from headrace.http.server import HttpLimits, HttpServer
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


def limits(head: float, body: float, answer: float) -> HttpLimits:
    return HttpLimits(head_seconds=head, body_seconds=body, answer_seconds=answer)


@asynccontextmanager
async def listening(app: ASGIApp, deadlines: HttpLimits) -> AsyncIterator[tuple[HttpServer, int]]:
    """Answer with `app` on a free port."""
    sockets = bind(Address("127.0.0.1", 0), asks_token=False)
    server = HttpServer(app, deadlines)
    async with server.serving(sockets):
        yield server, port_of(sockets[0])


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
        (b"", limits(SHORT, LONG, LONG), b""),
        (HEAD, limits(SHORT, LONG, LONG), b"HTTP/1.1 408"),
        (POST + b"Content-Length: 9\r\n\r\n{", limits(LONG, SHORT, LONG), b"HTTP/1.1 408"),
        (HEAD + b"\r\n" + HEAD, limits(SHORT, LONG, LONG), b"HTTP/1.1 200"),
    ],
    ids=["idle", "half a head", "half a body", "half a second head"],
)
async def test_a_connection_that_sends_too_little_is_closed_in_time(
    sent: bytes, deadlines: HttpLimits, status: bytes, caplog: pytest.LogCaptureFixture
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
    async with served(any_topology(), limits(0.1, LONG, LONG)) as client, peer_of(client) as (reader, writer):
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

    async with listening(large, limits(LONG, LONG, SHORT)) as (server, port):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(HEAD + b"\r\n")
            await until(lambda: bool(server.state.total_requests))
            await until(lambda: not server.state.connections)


@pytest.mark.parametrize("sent", [b"", HEAD, POST + b"Content-Length: 9\r\n\r\n{"], ids=["idle", "head", "body"])
async def test_probes_are_answered_beside_more_silent_connections_than_may_be_open(sent: bytes) -> None:
    topology = any_topology()
    async with served(topology) as client, topology, AsyncExitStack() as stack:
        for _ in range(HttpLimits().max_connections + 50):
            await stack.enter_async_context(peer_of(client, sent))
        for path in ("/health", "/ready", "/metrics"):
            assert (await client.get(path, headers={"Connection": "close"})).status_code == 200


async def test_connections_that_wait_for_the_app_are_kept_and_the_one_too_many_hears_503() -> None:
    may = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await may.wait()
        await PlainTextResponse("done")(scope, receive, send)

    last = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with listening(slow, limits(SHORT, SHORT, SHORT)) as (server, port), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(peer_at(port, last)) for _ in range(HttpLimits().max_connections)]
        await until(lambda: len(server.state.tasks) == HttpLimits().max_connections)
        async with peer_at(port) as (reader, _):
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        may.set()
        assert {(await reader.read())[:12] for reader, _ in peers} == {b"HTTP/1.1 200"}


async def test_a_late_body_of_a_head_request_is_answered_without_a_body() -> None:
    async def waiting(_: Scope, receive: Receive, __: Send) -> None:
        await receive()

    head = b"HEAD / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
    async with listening(waiting, limits(LONG, SHORT, LONG)) as (_, port), peer_at(port, head) as (reader, _):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b"\r\n\r\n")


async def test_a_server_that_closes_ends_connections_that_were_refused() -> None:
    async def never(_: Scope, __: Receive, ___: Send) -> None:
        await asyncio.Event().wait()

    async with listening(never, limits(LONG, LONG, LONG)) as (server, port), peer_at(port, CHUNKED + NOT_HTTP):
        await until(lambda: bool(server.state.connections) and not any(one.has_request for one in server.connections))
        server.close()
        await until(lambda: not server.state.connections)
