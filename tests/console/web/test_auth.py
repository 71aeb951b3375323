"""Who gets in: Host headers and the token, asked over a real socket."""

import asyncio
import socket
from collections.abc import Sequence

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.http.access import AccessCheck, host_name
from headrace.pipeline.topology.topology import Topology
from tests.console.web.serving import TOKEN, served
from tests.fakes.console_stages import Numbers, Shelf

PATHS = ["/", "/metrics", "/health", "/ready", "/nowhere"]
BEARER = f"Bearer {TOKEN}"


def any_topology() -> Topology:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(1, stays_open=True))
    topology.add("shelf", Shelf, subscribe_to="numbers")
    return topology


async def statuses(client: httpx2.AsyncClient, path: str, header: str, values: Sequence[str]) -> dict[str, int]:
    return {value: (await client.get(path, headers={header: value})).status_code for value in values}


@pytest.mark.asyncio
async def test_this_machines_own_names_come_in_at_any_port() -> None:
    names = ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:1", "[::1]:9470", "[0:0::1]", socket.gethostname()]
    async with served(any_topology()) as client:
        found = await statuses(client, "/health", "Host", names)
    assert found == dict.fromkeys(names, 200)


@pytest.mark.asyncio
async def test_a_foreign_name_is_misdirected_whatever_it_asks_for() -> None:
    names = ["evil.example", "evil.example:9470", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1"]
    async with served(any_topology()) as client:
        found = [await statuses(client, path, "Host", names) for path in PATHS]
        answer = await client.get("/metrics", headers={"Host": "evil.example"})
    assert found == [dict.fromkeys(names, 421)] * len(PATHS)
    assert "Host header" in answer.text
    assert "headrace_" not in answer.text


@pytest.mark.asyncio
async def test_a_host_header_that_names_nobody_is_a_bad_request() -> None:
    names = ["", "[::1", "a b", "localhost/evil", "evil@localhost"]
    async with served(any_topology()) as client:
        found = await statuses(client, "/health", "Host", names)
    assert found == dict.fromkeys(names, 400)


@pytest.mark.asyncio
async def test_a_request_without_a_host_header_is_a_bad_request() -> None:
    async with served(any_topology()) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        first = await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert first.split()[1] == b"400"


@pytest.mark.asyncio
async def test_without_a_token_everything_is_open() -> None:
    topology = any_topology()
    async with served(topology) as client, topology:
        found = [(await client.get(path)).status_code for path in PATHS]
    assert found == [200, 200, 200, 200, 404]


@pytest.mark.asyncio
async def test_with_a_token_only_probes_are_free() -> None:
    topology = any_topology()
    async with served(topology, token=TOKEN) as client, topology:
        anonymous = [(await client.get(path)).status_code for path in PATHS]
        known = [(await client.get(path, headers={"Authorization": BEARER})).status_code for path in PATHS]
        refused = await client.get("/metrics")
    assert anonymous == [401, 401, 200, 200, 401]
    assert known == [200, 200, 200, 200, 404]
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert "Authorization: Bearer" in refused.text


@pytest.mark.asyncio
async def test_a_wrong_token_stays_out() -> None:
    wrong = ["Bearer", "Bearer Sesame", "Bearer sesame2", "Bearer sesam", "Basic sesame", "sesame", "Bearer sesame x"]
    async with served(any_topology(), token=TOKEN) as client:
        found = await statuses(client, "/metrics", "Authorization", wrong)
    assert found == dict.fromkeys(wrong, 401)


@pytest.mark.asyncio
async def test_a_token_of_any_letters_comes_in() -> None:
    async with served(any_topology(), token="Sésam öffne") as client:  # noqa: S106 - it opens nothing else
        answer = await client.get("/metrics", headers={b"Authorization": "bearer Sésam öffne".encode()})
    assert answer.status_code == 200


@pytest.mark.asyncio
async def test_public_metrics_need_no_token_and_the_rest_does() -> None:
    async with served(any_topology(), token=TOKEN, metrics_public=True) as client:
        found = [(await client.get(path)).status_code for path in ("/metrics", "/")]
        by_service_name = await client.get("/metrics", headers={"Host": "shop:9470"})
    assert found == [200, 401]
    assert by_service_name.status_code == 200


@pytest.mark.asyncio
async def test_whoever_shows_the_token_may_use_any_name() -> None:
    foreign = {"Host": "shop.internal"}
    async with served(any_topology(), token=TOKEN) as client:
        known = await client.get("/metrics", headers={**foreign, "Authorization": BEARER})
        anonymous = await client.get("/metrics", headers=foreign)
        prober = await client.get("/health", headers=foreign)
    async with served(any_topology()) as client:
        unasked = await client.get("/metrics", headers={**foreign, "Authorization": BEARER})
    assert (known.status_code, prober.status_code) == (200, 200)
    assert (anonymous.status_code, unasked.status_code) == (421, 421)


@pytest.mark.asyncio
async def test_the_address_at_which_a_request_came_in_is_a_name_of_this_machine() -> None:
    token = "0123456789abcdef"  # noqa: S105 - it opens nothing else
    async with served(any_topology(), address="0.0.0.0:0", token=token) as client:
        port = client.base_url.port
        answer = await client.get(f"http://127.0.0.2:{port}/metrics")
        other = await client.get(f"http://127.0.0.2:{port}/metrics", headers={"Host": "127.0.0.3"})
    assert (answer.status_code, other.status_code) == (401, 421)


@given(st.text())
def test_a_host_header_is_a_name_without_blanks_or_none(text: str) -> None:
    name = host_name(text)
    assert name is None or (name == name.lower() and name.split() == [name])


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_is_the_same_with_and_without_a_port(address: object, port: int) -> None:
    text = f"[{address}]" if ":" in str(address) else str(address)
    assert host_name(text) == host_name(f"{text}:{port}") == str(address)


@pytest.mark.parametrize("hosts", [[], [(b"host", b"localhost")] * 2])
def test_none_and_several_host_headers_name_no_machine(hosts: list[tuple[bytes, bytes]]) -> None:
    head = {"method": "GET", "path": "/", "http_version": "1.1", "headers": hosts}
    rejection = AccessCheck(frozenset({"localhost"})).rejection(head, is_trusted=True)
    assert rejection is not None
    assert rejection.status == 400
