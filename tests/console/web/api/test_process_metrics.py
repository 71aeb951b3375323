"""What a scrape says of the OS process, its units, and how it is compressed."""

import gzip
import os

import httpx2
import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from headrace.telemetry.counts import PROCESS_NAMES
from tests.console.web.serving import served
from tests.fakes.console_stages import Shelf
from tests.pipeline.test_metrics import OPENMETRICS, chain

pytestmark = pytest.mark.asyncio


async def scrape(accept: str = "", encoding: str = "identity") -> httpx2.Response:
    async with served(chain(Shelf())) as client:
        return await client.get("/metrics", headers={"accept": accept, "accept-encoding": encoding})


async def test_memory_and_cpu_of_the_run_can_be_graphed() -> None:
    found = {metric.name: metric for metric in parse_text((await scrape()).text)}
    names = {sample.name for metric in found.values() for sample in metric.samples}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "python_info"} <= names
    assert found["process_resident_memory_bytes"].samples[0].value > os.sysconf("SC_PAGE_SIZE") * 1000
    assert {name for name in names if not name.startswith("headrace_")} <= PROCESS_NAMES


async def test_openmetrics_states_units() -> None:
    text = (await scrape(OPENMETRICS)).text
    units = {metric.name: metric.unit for metric in openmetrics(text)}
    assert units["process_resident_memory_bytes"] == "bytes"
    assert units["process_cpu_seconds"] == "seconds"
    assert units["process_open_fds"] == ""
    assert "# UNIT process_cpu_seconds seconds" in text.splitlines()


async def test_a_scrape_is_compressed_for_those_who_accept_gzip() -> None:
    plain, packed = await scrape(encoding="identity"), await scrape(encoding="gzip, deflate")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept, accept-encoding"
    assert int(packed.headers["content-length"]) < len(gzip.compress(plain.content)) * 2 < len(plain.content)
    assert "process_open_fds" in packed.text


def openmetrics(text: str) -> list[Metric]:
    return list(openmetrics_parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call] # its own lack
