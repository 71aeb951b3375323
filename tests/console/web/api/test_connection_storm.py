"""A scrape is answered in time beside many connections that send nothing: 1,000 in `make chaos`, 300 otherwise."""

import os
import sys
import time
from contextlib import AsyncExitStack

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.console.web.serving import served
from tests.http.test_connection import any_topology, peer_of

IDLE = 1000 if "HEADRACE_KILLS" in os.environ else 300


@pytest.mark.asyncio
async def test_a_scrape_beside_many_idle_connections_is_answered_whole() -> None:
    topology = any_topology()
    async with served(topology) as client, topology, AsyncExitStack() as stack:
        for _ in range(IDLE):
            await stack.enter_async_context(peer_of(client))
        began = time.perf_counter()
        for _ in range(5):
            answer = await client.get("/metrics", headers={"connection": "close"})
            names = {family.name for family in parse_text(answer.text)}
            assert (answer.status_code, "headrace_stage_events_received" in names) == (200, True)
        seconds = (time.perf_counter() - began) / 5
    sys.stdout.write(f"a scrape beside {IDLE} idle connections took {seconds * 1000:.0f} ms\n")
    assert seconds < 5
