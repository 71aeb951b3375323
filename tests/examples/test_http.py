"""No event is lost between HTTP in and HTTP out, whatever the peer does. A duplicate has the same key."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from headrace.config.pipeline import Pipeline
from tests.fakes.flaky_peer import Peer, serving
from tests.fakes.free_port import free_port
from tests.house.tree import ROOT

pytestmark = pytest.mark.asyncio

REQUESTS = 20
EVENTS = 5
LATE = (10, 11)
"""Requests that the peer accepts without an answer: their events arrive twice."""


def flaky(number: int) -> str:
    """Hang once, accept two without an answer, be down for a while, and fail every third request."""
    if number == 5:
        return "hang"
    if number in LATE:
        return "late"
    if 20 <= number < 40:
        return "drop"
    return "503\nretry-after: 0" if number % 3 == 0 else "200"


async def test_a_flaky_peer_gets_every_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, peer = free_port(), Peer(flaky)
    async with serving(peer) as url:
        said = {"PORT": str(port), "PEER": url, "VAR_FOLDER": str(tmp_path), "BACKOFF": "1ms", "PEER_TIMEOUT": "200ms"}
        for name, value in said.items():
            monkeypatch.setenv(name, value)
        pipeline = Pipeline.from_file(ROOT / "examples/http.yaml")
        async with pipeline, httpx2.AsyncClient(timeout=50) as client, asyncio.TaskGroup() as group:
            orders = [[{"id": f"{n}-{item}"} for item in range(EVENTS)] for n in range(REQUESTS)]
            sent = [group.create_task(client.post(f"http://127.0.0.1:{port}/orders", json=one)) for one in orders]
        assert {one.result().status_code for one in sent} == {200}
        assert pipeline.outcome().is_fine
    taken = Counter(got.header("idempotency-key") for got in peer.taken)
    tries = Counter(got.header("idempotency-key") for got in peer.got)
    assert set(taken) == {order["id"] for one in orders for order in one}
    assert all(json.loads(got.body)["id"] == got.header("idempotency-key") for got in peer.got)
    assert sum(tries.values()) - len(tries) >= 20
    assert taken.total() - len(taken) == len(LATE)
