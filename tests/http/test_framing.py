"""Requests whose end is in doubt are refused, and their connection is closed, by both servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from headrace.pipeline.topology.topology import Topology
from headrace.stages.sources.receive_http import ReceiveHttp, ReceiveHttpOptions
from tests.console.web.serving import served
from tests.fakes.console_stages import Numbers, Shelf
from tests.stages.runs import chain

pytestmark = pytest.mark.asyncio

Serving = Callable[[], AbstractAsyncContextManager[int]]

SMUGGLED = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
MANY = b"".join(b"X-%d: y\r\n" % number for number in range(10_000))
CASES = {
    "both lengths": (b"1.1", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED, 400),
    "both, other order": (b"1.1", b"Transfer-Encoding: chunked\r\nContent-Length: 50\r\n\r\n" + SMUGGLED, 400),
    "two lengths": (b"1.1", b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + SMUGGLED, 400),
    "chunks of HTTP/1.0": (b"1.0", b"Transfer-Encoding: chunked\r\n\r\n" + SMUGGLED, 400),
    "a version of its own": (b"9.9", b"Content-Length: 0\r\n\r\n" + SMUGGLED, 505),
    "ten thousand headers": (b"1.1", MANY + b"Content-Length: 0\r\n\r\n" + SMUGGLED, 431),
}


@asynccontextmanager
async def listener() -> AsyncIterator[int]:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(1, stays_open=True))
    topology.add("shelf", Shelf, subscribe_to="numbers")
    async with served(topology) as client, topology:
        assert client.base_url.port is not None
        yield client.base_url.port


@asynccontextmanager
async def source() -> AsyncIterator[int]:
    stage = ReceiveHttp(ReceiveHttpOptions.model_validate({"listen": "127.0.0.1:0"}))
    topology, _ = chain(stage)
    async with topology:
        yield stage.port


async def answered(port: int, sent: bytes) -> bytes:
    """Return all that a server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = b""
    try:
        while piece := await reader.read(65536):
            answer += piece
    except ConnectionResetError:  # the server closed with the rest unread
        pass
    writer.close()
    return answer


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("server", [listener, source])
async def test_a_request_whose_end_is_in_doubt_is_refused_and_nothing_behind_it_is_read(
    server: Serving, case: str
) -> None:
    version, rest, status = CASES[case]
    head = b"POST /events HTTP/%s\r\nHost: localhost\r\nContent-Type: application/json\r\n" % version
    async with server() as port:
        answer = await answered(port, head + rest)
    assert answer.startswith(b"HTTP/1.1 %d " % status) or (case == "ten thousand headers" and answer[9:12] == b"400")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("server", [listener, source])
async def test_lines_may_end_with_a_line_feed_alone(server: Serving) -> None:
    async with server() as port:
        answer = await answered(port, b"GET /nowhere HTTP/1.1\nHost: localhost\nConnection: close\n\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
