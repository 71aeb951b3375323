"""Requests come out as events, or are turned away with a sentence; real sockets throughout."""

import asyncio
import logging
import resource
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from headrace.config.pipeline import Pipeline
from headrace.errors import StartFailed
from headrace.http.server import HttpServer
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sources.receive_http import ReceiveHttp, ReceiveHttpOptions
from tests.fakes.flow_stages import Collect
from tests.fakes.free_port import free_port
from tests.fakes.many_clients import AT_ONCE, many_clients, most_files
from tests.fakes.stepping import until
from tests.stages.runs import chain

pytestmark = pytest.mark.asyncio

CONNECTION_BYTES = 16 * 1024
"""What an open connection that sends nothing takes in the server's memory at most; it was 3.1 KiB with CPython 3.11."""

SENT = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def receive(clock: Callable[[], float] = lambda: 0.0, **said: object) -> ReceiveHttp:
    options = ReceiveHttpOptions.model_validate({"listen": "127.0.0.1:0", **said}, context={"import": True})
    return ReceiveHttp(options, clock)


@asynccontextmanager
async def running(source: ReceiveHttp) -> AsyncIterator[tuple[httpx2.AsyncClient, Collect, Topology]]:
    topology, collect = chain(source)
    async with topology, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{source.port}", timeout=30) as client:
        yield client, collect, topology


@asynccontextmanager
async def full(source: ReceiveHttp, buffer_size: int = 3) -> AsyncIterator[tuple[httpx2.AsyncClient, Topology]]:
    """Run a source that nobody asks for anything."""
    topology = Topology()
    topology.add("0", lambda: source, settings=StageSettings(buffer_size=buffer_size))
    async with topology, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{source.port}") as client:
        yield client, topology


@asynccontextmanager
async def raw(source: ReceiveHttp) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
    yield reader, writer
    writer.close()


def answers(topology: Topology) -> dict[str, float]:
    """Return how many answers of each status there were."""
    family = next(
        one for one in topology.snapshot().stages[0].families if one.spec.name == "headrace_http_requests_total"
    )
    return {values[0]: count for values, count in family.samples.items() if count}


def gauge(topology: Topology, name: str) -> float:
    family = next(one for one in topology.snapshot().stages[0].families if one.spec.name == name)
    return family.samples[()]


async def test_what_is_sent_comes_out_and_is_accepted() -> None:
    async with running(receive()) as (client, collect, topology):
        one = await client.post("/events?from=here", json={"n": 1})
        some = await client.post("/events", json=[{"n": 2}, {"n": 3}])
        none = await client.post("/events", json=[])
        assert [(each.status_code, each.text) for each in (one, some, none)] == [
            (202, "Accepted: 1.\n"),
            (202, "Accepted: 2.\n"),
            (202, "Accepted: 0.\n"),
        ]
        await until(lambda: len(collect.events) == 3)
        assert answers(topology) == {"202": 3}
    assert collect.events == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_lines_come_out_as_events_and_a_bad_one_refuses_them_all() -> None:
    async with running(receive(decode="ndjson")) as (client, collect, _):
        headers = {"content-type": "application/x-ndjson; charset=utf-8"}
        assert (await client.post("/events", content=b'{"n": 1}\n\n{"n": 2}\n', headers=headers)).status_code == 202
        refused = await client.post("/events", content=b'{"n": 3}\n{"n"}\n', headers=headers)
        assert refused.status_code == 400
        assert refused.text.startswith("Line 2: the line is not JSON (")
        await until(lambda: len(collect.events) == 2)
    assert collect.events == [{"n": 1}, {"n": 2}]


async def request(client: httpx2.AsyncClient, **changed: object) -> httpx2.Response:
    said = {"method": "POST", "url": "/events", "content": b"1", "headers": {"content-type": "application/json"}}
    return await client.request(**{**said, **changed})  # type: ignore[arg-type] # as the cases below say


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"url": "/other"}, 404, "Nothing is here: events go to /events."),
        ({"method": "PUT"}, 405, "Events are sent with POST."),
        ({"method": "HEAD"}, 405, ""),
        ({"headers": {}}, 415, "The body must be JSON: send Content-Type: application/json."),
        ({"headers": {"content-type": "application/json", "content-encoding": "gzip"}}, 415, "The body is compressed"),
        ({"headers": {"content-type": "application/json", "host": "evil.example"}}, 421, "names another machine"),
        ({"content": b"{"}, 400, "The body is not JSON ("),
        ({"content": b"[1,2,3]"}, 413, "The body has more than 2 events (max_events)"),
        ({"content": b'"' + b"x" * 100 + b'"'}, 413, "The body is larger than 100B (max_body): send it in pieces."),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_a_sentence(
    changed: dict[str, object], status: int, said: str
) -> None:
    async with running(receive(max_events=2, max_body="100B")) as (client, collect, topology):
        refused = await request(client, **changed)
        assert (refused.status_code, said in refused.text) == (status, True), refused.text
        assert (await request(client)).status_code == 202
        await until(lambda: len(collect.events) == 1)
        assert answers(topology) == {str(status): 1, "202": 1}


async def test_a_token_is_asked_for_and_then_any_name_of_the_machine_is_fine() -> None:
    async with running(receive(token="sesame")) as (client, _, _):  # noqa: S106 - it opens nothing but this test
        refused = await request(client)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == 'Bearer realm="headrace"'
        known = {"authorization": "Bearer sesame", "host": "shop.example", "content-type": "application/json"}
        assert (await request(client, headers=known)).status_code == 202


async def test_without_room_nothing_is_taken_and_the_sender_is_asked_to_come_later() -> None:
    async with full(receive()) as (client, topology):
        assert (await request(client, content=b"[1,2]")).status_code == 202
        turned_away = await request(client, content=b"[3,4]")
        assert (turned_away.status_code, turned_away.headers["retry-after"]) == (429, "1")
        assert (await request(client, content=b"3")).status_code == 202
        assert (await request(client, content=b"4")).status_code == 429
        snapshot = topology.snapshot().stages[0]
        assert snapshot.discarded.get("overflow", 0) == 0


async def test_a_request_that_an_empty_buffer_cannot_hold_is_too_large() -> None:
    async with full(receive(decode="ndjson")) as (client, _):
        headers = {"content-type": "application/x-ndjson"}
        refused = await request(client, content=b"1\n2\n3\n4\n", headers=headers)
        assert (refused.status_code, "retry-after" in refused.headers) == (413, False)
        assert refused.text == "The pipeline has room for 3 events at most: send the body in pieces.\n"
        assert (await request(client, content=b"1\n2\n", headers=headers)).status_code == 202
        busy = await request(client, content=b"1\n2\n3\n4\n", headers=headers)
        assert busy.status_code == 429


LARGE = b'"' + b"x" * (10 * 1024 * 1024 - 2) + b'"'
OBJECTS = b"[[" + b"{}," * 240_000 + b"{}]]"


@pytest.mark.parametrize(
    ("body", "most", "is_asked"),
    [(LARGE, 7, True), (OBJECTS, 5, False)],
    ids=["large and asked for", "many values and buffered"],
)
async def test_large_bodies_do_not_fill_the_memory_while_a_stage_stands_still(
    body: bytes,
    most: int,
    is_asked: bool,  # noqa: FBT001 - as the cases say
) -> None:
    source = receive()
    topology, collect = chain(source)
    if not is_asked:
        topology = Topology()
        topology.add("0", lambda: source)
    async with topology, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{source.port}", timeout=30) as client:
        if is_asked:
            topology.stage("1").pause()
        found = [(await request(client, content=body)).status_code for _ in range(most + 1)]
        assert found.count(202) <= most
        assert found[-1] == 429
        if is_asked:
            topology.stage("1").resume()
            await until(lambda: len(collect.events) == found.count(202))
            assert (await request(client, content=body)).status_code == 202


async def test_more_requests_than_the_rate_are_told_when_to_come_again() -> None:
    now = [0.0]
    async with running(receive(lambda: now[0], rate="1/10s")) as (client, _, _):
        assert (await request(client)).status_code == 202
        refused = await request(client)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        now[0] = 10.0
        assert (await request(client)).status_code == 202


class Later(Consumer[Any]):
    """Fails the events that are the text "bad", once it is let go on."""

    def __init__(self) -> None:
        self.may = asyncio.Event()

    async def handle_events(self, events: list[object]) -> None:
        await self.may.wait()
        for event in events:
            if event == "bad":
                self.fail_event(event, ValueError("bad"))


@pytest.mark.parametrize(("body", "status"), [(b'["good", "good"]', 200), (b'["good", "bad"]', 500), (b"[]", 200)])
async def test_a_request_is_answered_when_its_last_event_has_ended(body: bytes, status: int) -> None:
    source, later = receive(answer="done"), Later()
    topology, _ = chain(source, later)
    await topology.start()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{source.port}") as client, asyncio.TaskGroup() as group:
        sent = group.create_task(request(client, content=body))
        await until(lambda: sent.done() or topology.snapshot().stages[0].events_sent == 2)
        assert sent.done() == (body == b"[]")
        later.may.set()
        assert (await sent).status_code == status
    await topology.drain()


CONFIG = """
listen: off
dead_letters: sqlite:///{folder}/dead.db
stages:
  hooks:   {{type: receive_http, listen: '127.0.0.1:{port}', answer: done}}
  shares:  {{type: map, subscribe_to: hooks, set: {{share: 1 / event.n}}}}
  kept:    {{type: discard, subscribe_to: shares}}
"""


async def test_what_is_kept_as_a_dead_letter_is_answered_with_202(tmp_path: Path) -> None:
    port = free_port()
    pipeline = Pipeline.from_text(CONFIG.format(folder=tmp_path, port=port))
    async with pipeline, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await request(client, content=b'{"n": 2}')).status_code == 200
        set_aside = await request(client, content=b'[{"n": 1}, {"n": 0}]')
        assert (set_aside.status_code, set_aside.text) == (202, "Some events failed, and are kept as dead letters.\n")


async def test_a_drain_answers_what_was_taken_in_and_turns_others_away() -> None:
    source, later = receive(answer="done"), Later()
    topology, _ = chain(source, later)
    await topology.start()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{source.port}") as client, asyncio.TaskGroup() as group:
        sent = group.create_task(request(client))
        await until(lambda: topology.snapshot().stages[0].events_sent == 1)
        async with raw(source) as (reader, writer):
            writer.write(SENT + b"Content-Length: 1\r\n\r\n")
            await until(lambda: any(one.is_in_body for one in served(source).connections))
            drained = group.create_task(topology.drain())
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        later.may.set()
        assert (await sent).status_code == 200
        assert (await drained).is_fine
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", source.port))


async def test_who_asks_while_the_source_drains_hears_503() -> None:
    source = receive()
    async with full(source) as (client, topology), raw(source) as (reader, writer):
        writer.write(SENT + b"Content-Length: 1\r\n\r\n")
        await until(lambda: any(one.is_in_body for one in served(source).connections))
        source.handle_drain()
        refused = await request(client)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        writer.write(b"1")
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        assert topology.snapshot().stages[0].events_sent == 0


async def test_a_sender_in_full_flow_reads_the_refusal_of_a_source_that_drains() -> None:
    source = receive()
    body = b"1" * 5_000_000
    async with full(source), raw(source) as (reader, writer):
        source.handle_drain()
        writer.write(SENT + b"Content-Length: %d\r\n\r\n" % len(body))
        assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
        for at in range(0, len(body), 100_000):
            writer.write(body[at : at + 100_000])
            await writer.drain()
        assert (await reader.read()).endswith(b"try again later.\n")


def served(source: ReceiveHttp) -> HttpServer:
    assert source._server is not None
    return source._server


@pytest.mark.parametrize("limit", ["header_timeout", "body_timeout"])
async def test_half_a_request_is_given_up_in_time(limit: str) -> None:
    source = receive(lambda: 0.0, **{limit: "20ms"})
    half = SENT if limit == "header_timeout" else SENT + b"Content-Length: 5\r\n\r\n12"
    async with running(source) as (client, _, topology), raw(source) as (reader, writer):
        writer.write(half)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        await until(lambda: gauge(topology, "headrace_http_connections") == 0)
        assert gauge(topology, "headrace_http_body_bytes") == 0
        assert (await request(client)).status_code == 202


async def test_a_connection_that_says_nothing_is_closed() -> None:
    source = receive(header_timeout="20ms")
    async with running(source) as (_, _, topology), raw(source) as (reader, _):
        assert await reader.read() == b""
        assert answers(topology) == {}


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"x" * 100_000,
        SENT + b"Content-Length: x\r\n\r\n",
        SENT + b"Content-Length: 5\r\n\r\n12",
    ],
)
async def test_garbage_and_halves_are_answered_and_leave_nothing_behind(sent: bytes) -> None:
    source = receive()
    async with running(source) as (client, collect, topology), raw(source) as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        assert (await reader.read()).split()[1] in (b"400", b"431")
        await until(lambda: gauge(topology, "headrace_http_connections") == 0)
        assert (await request(client)).status_code == 202
        await until(lambda: collect.events == [1])


async def test_a_hundred_megabytes_are_refused_and_never_kept() -> None:
    source = receive()
    piece = b"1" * 1024 * 1024
    async with running(source) as (client, _, topology):
        most = 0.0

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal most
            for _ in range(100):
                yield piece
                most = max(most, gauge(topology, "headrace_http_body_bytes"))

        headers = {"content-type": "application/json"}
        told = await client.post("/events", content=pieces(), headers=headers)
        assert told.status_code == 413
        assert 0 < most <= 10 * 1024 * 1024
        assert gauge(topology, "headrace_http_body_bytes") == 0


async def test_who_waits_for_a_go_ahead_hears_a_refusal_before_sending_the_body() -> None:
    source = receive(max_body="10B")
    expecting = SENT + b"Expect: 100-continue\r\nContent-Length: "
    async with running(source) as (_, collect, _):
        async with raw(source) as (reader, writer):
            writer.write(expecting + b"11\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
        async with raw(source) as (reader, writer):
            writer.write(expecting + b"1\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(b"7")
            assert (await reader.readline()).startswith(b"HTTP/1.1 202 ")
        await until(lambda: collect.events == [7])


async def test_requests_that_come_in_one_piece_are_answered_in_order() -> None:
    source = receive()
    async with running(source) as (_, collect, _), raw(source) as (reader, writer):
        count = 2000
        one = SENT + b"Content-Length: 1\r\n\r\n1"
        writer.write(one * (count - 1) + SENT + b"Connection: close\r\nContent-Length: 1\r\n\r\n2")
        said = await reader.read()
        assert said.count(b"HTTP/1.1 202 ") == count
        await until(lambda: len(collect.events) == count)
        assert collect.events[-1] == 2


async def test_a_client_that_sends_no_more_is_answered_to_the_end() -> None:
    later = Later()
    source = receive(answer="done")
    topology, _ = chain(source, later)
    async with topology, raw(source) as (reader, writer):
        writer.write((SENT + b"Content-Length: 1\r\n\r\n1") * 3)
        writer.write_eof()
        await until(lambda: topology.snapshot().stages[0].events_sent == 1)
        later.may.set()
        assert (await reader.read()).count(b"HTTP/1.1 200 ") == 3


async def test_a_refused_request_leaves_its_connection_open() -> None:
    source = receive()
    async with running(source) as (_, collect, _), raw(source) as (reader, writer):
        writer.write(SENT.replace(b"/events", b"/other") + b"Content-Length: 3\r\n\r\n1")
        assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
        writer.write(b"23" + SENT + b"Connection: close\r\nContent-Length: 1\r\n\r\n7")
        assert b"HTTP/1.1 202 " in await reader.read()
        await until(lambda: collect.events == [7])


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def all_open(topology: Topology, count: int) -> None:
    await until(lambda: gauge(topology, "headrace_http_connections") == count)


async def test_ten_thousand_connections_held_open_are_bounded_and_the_others_hear_so() -> None:
    with most_files() as limit:
        places = min(10_000, limit - open_files() - 2 * AT_ONCE)  # what else is open, and those that are refused
        assert places >= AT_ONCE, f"this system lets a process open {limit} files: raise the hard limit (ulimit -Hn)"
        source = receive(max_connections=places, header_timeout="10m")
        async with running(source) as (_, _, topology):
            before = resident_bytes()
            async with many_clients(source.port) as clients:
                held = 0
                while held < places:
                    held = await clients.open(min(AT_ONCE, places - held))
                    await all_open(topology, held)
                assert (resident_bytes() - before) / places < CONNECTION_BYTES
                await clients.open(AT_ONCE)  # they find no place
                assert await clients.refused(AT_ONCE) == AT_ONCE
                assert answers(topology).get("503") == AT_ONCE
                assert gauge(topology, "headrace_http_connections") == places
            await all_open(topology, 0)
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{source.port}") as again:
                assert (await request(again)).status_code == 202


async def test_who_is_gone_before_hearing_a_refusal_leaves_nothing_behind() -> None:
    source = receive(max_connections=1)
    broken: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
    async with running(source) as (_, _, topology), raw(source):
        await until(lambda: gauge(topology, "headrace_http_connections") == 1)
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", source.port)) as gone:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(lambda: answers(topology).get("503") == 50)
    assert broken == []


async def test_a_taken_port_is_said_in_one_sentence() -> None:
    async with running(source := receive()):
        topology, _ = chain(receive(listen=f"127.0.0.1:{source.port}"))
        with pytest.raises(StartFailed, match="another program has that port"):
            await topology.start()


async def test_the_address_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    source = receive()
    with caplog.at_level(logging.INFO):
        async with running(source):
            pass
    assert f"stage '0' listens for events on http://127.0.0.1:{source.port}/events" in caplog.messages


async def test_an_address_that_others_reach_is_refused_without_a_token() -> None:
    with pytest.raises(ValidationError, match="others can reach this address, so it needs a token"):
        receive(listen="0.0.0.0:8080")
    assert receive(listen="0.0.0.0:8080", token="0123456789abcdef").port == 0  # noqa: S106 - it opens nothing
