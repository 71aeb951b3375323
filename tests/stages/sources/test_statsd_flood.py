"""More datagrams than can be taken: each is an event, or is counted as dropped by the kernel.

`make chaos` sends a million of them.
"""

import asyncio
import os
import socket
import sys
from typing import Final

import pytest

from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.sources import receive_statsd as udp_socket
from headrace.stages.sources.receive_statsd import ReceiveStatsd, ReceiveStatsdOptions
from tests.fakes.stepping import until
from tests.stages.runs import chain

DATAGRAMS: Final = 1_000_000 if "HEADRACE_KILLS" in os.environ else 10_000

FLOOD: Final = """\
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.connect(("127.0.0.1", int(sys.argv[1])))
    for number in range(int(sys.argv[2])):
        sender.send(b"flood.%d:1|c|#user:%d" % (number % 50, number))
"""


def send_at_once(port: int, count: int) -> None:
    """Send datagrams while the loop stands still."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(b"hits:1|c", ("127.0.0.1", port))


class Counts(Consumer[object]):
    """Counts events."""

    def __init__(self) -> None:
        self.count = 0

    def handle_events(self, events: list[object]) -> None:
        self.count += len(events)


pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what it has dropped"),
]


async def test_each_datagram_of_a_flood_is_an_event_or_is_counted_as_dropped() -> None:
    source, counts = ReceiveStatsd(ReceiveStatsdOptions.model_validate({"listen": "127.0.0.1:0"})), Counts()
    topology, _ = chain(source, counts)
    async with topology:
        program = [sys.executable, "-S", "-c", FLOOD, str(source.port), str(DATAGRAMS)]
        flood = await asyncio.create_subprocess_exec(*program)
        assert await flood.wait() == 0
    outcome = topology.outcome()
    dropped = outcome.input_lost["datagrams"]
    sys.stdout.write(f"{DATAGRAMS} datagrams: {counts.count} taken, {dropped} dropped by the kernel\n")
    assert counts.count + dropped + outcome.events_lost == DATAGRAMS
    assert outcome.is_fine == (dropped + outcome.events_lost == 0)


async def test_datagrams_that_the_kernel_drops_fail_the_run_and_are_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(udp_socket, "RECEIVE_BUFFER_BYTES", 4096)
    source, counts = ReceiveStatsd(ReceiveStatsdOptions.model_validate({"listen": "127.0.0.1:0"})), Counts()
    topology, _ = chain(source, counts)
    async with topology:
        send_at_once(source.port, 1000)
        await until(lambda: topology.outcome().input_lost["datagrams"] > 0)
        send_at_once(source.port, 1000)
    outcome = topology.outcome()
    assert counts.count + outcome.input_lost["datagrams"] == 2000
    assert outcome.input_lost["datagrams"] > 1500
    assert not outcome.is_fine
    assert caplog.text.count("loses datagrams") == 1
