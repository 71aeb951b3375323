"""Packets of StatsD clients come out as events, until the drain."""

import logging
import socket
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError
from statsd import StatsClient

from headrace.errors import StartFailed
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sources.receive_statsd import ReceiveStatsd, ReceiveStatsdOptions
from tests.fakes.flow_stages import Collect
from tests.fakes.stepping import until
from tests.stages.runs import chain

pytestmark = pytest.mark.asyncio

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def receive(listen: str = "127.0.0.1:0", at: datetime = NOON) -> ReceiveStatsd:
    return ReceiveStatsd(ReceiveStatsdOptions.model_validate({"listen": listen}), clock=lambda: at)


def send(port: int, *packets: bytes, host: str = "127.0.0.1") -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for packet in packets:
            sender.sendto(packet, (host, port))


async def test_a_sample_is_an_event_of_six_fields() -> None:
    source = receive(at=NOON.astimezone(timezone(timedelta(hours=2))))
    topology, collect = chain(source)
    async with topology:
        send(source.port, b"hits:2|c|@0.5|#page:home,new\nusers:ann|s")
        await until(lambda: len(collect.events) == 2)
    at = "2026-01-01T12:00:00.000+00:00"
    assert collect.events == [
        {"name": "hits", "type": "c", "value": 4.0, "rate": 0.5, "tags": {"page": "home", "new": ""}, "at": at},
        {"name": "users", "type": "s", "value": "ann", "rate": 1.0, "tags": {}, "at": at},
    ]


async def test_a_gauge_comes_with_the_value_at_which_it_stands() -> None:
    source = receive()
    topology, collect = chain(source)
    async with topology:
        client = StatsClient("127.0.0.1", source.port)
        client.gauge("heat", 20)
        client.gauge("heat", 2, delta=True)
        client.gauge("heat", -5, delta=True)
        client.gauge("heat", -7)
        client.close()
        await until(lambda: len(collect.events) == 5)
    values = [event["value"] for event in collect.events if isinstance(event, dict)]
    assert values == [20, 22, 17, 0, -7]


async def test_what_is_no_metric_is_counted_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    source = receive()
    topology, collect = chain(source)
    async with topology:
        send(source.port, b"nonsense\nhits:1|c\nmore nonsense", b"", b"\xff\x00", b"last:1|c")
        await until(lambda: len(collect.events) == 2)
        snapshot = topology.snapshot()
    assert snapshot.stages[0].discarded["invalid"] == 3
    assert topology.outcome().is_fine
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == (
        "stage '0' drops a packet that is not a StatsD metric: b'nonsense': it is not written name:value|type "
        "(later ones are counted, not logged)"
    )


async def test_what_has_arrived_before_the_drain_goes_through() -> None:
    source = receive()
    topology, collect = chain(source)
    await topology.start()
    send(source.port, *[b"hits:1|c"] * 500)
    outcome = await topology.drain()
    assert len(collect.events) == 500
    assert outcome.is_fine
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        another.bind(("127.0.0.1", source.port))


async def test_what_nobody_asks_for_is_buffered_and_overflow_is_counted() -> None:
    source = receive()
    topology = Topology()
    stage = topology.add("0", lambda: source, settings=StageSettings(buffer_size=10))
    await topology.start()
    send(source.port, *[f"hits:{number}|c".encode() for number in range(15)])
    await until(lambda: topology.snapshot().stages[0].discarded["overflow"] == 5)
    stream = stage.stream(max_demand=10)
    kept = [await anext(stream) for _ in range(10)]
    assert [event["value"] for event in kept if isinstance(event, dict)] == list(range(5, 15))
    assert (await topology.drain()).events_lost == 5


async def test_a_taken_port_is_said_in_one_sentence() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        topology, _ = chain(receive(f"127.0.0.1:{port}"))
        with pytest.raises(StartFailed) as caught:
            await topology.start()
    assert str(caught.value) == (
        f"'0' could not start: 127.0.0.1:{port} (UDP) is taken by another program: "
        "stop that one, or choose another in `listen`"
    )


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("192.0.2.1:0", "is no address of this machine: choose another in `listen`"),
        ("no.such.host.invalid:0", "has a name that is not known: choose another in `listen`"),
    ],
)
async def test_an_address_that_cannot_be_had_is_said_in_one_sentence(listen: str, said: str) -> None:
    topology, _ = chain(receive(listen))
    with pytest.raises(StartFailed, match=said):
        await topology.start()


def has_version_6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.parametrize(
    ("host", "place"),
    [
        pytest.param("[::1]", "::1", marks=pytest.mark.skipif(not has_version_6(), reason="no IPv6 here")),
        ("localhost", "127.0.0.1"),
    ],
)
async def test_it_listens_on_any_kind_of_address(host: str, place: str) -> None:
    source = receive(f"{host}:0")
    topology = Topology()
    collect = Collect()
    topology.add("0", lambda: source)
    topology.add("1", lambda: collect, subscribe_to="0")
    await topology.start()
    send(source.port, b"hits:1|c", host=place)
    await until(lambda: len(collect.events) == 1)
    await topology.drain()


async def test_the_port_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    source = receive()
    topology, _ = chain(source)
    with caplog.at_level(logging.INFO):
        async with topology:
            pass
    assert f"stage '0' listens for StatsD on 127.0.0.1:{source.port} (UDP)" in caplog.messages


async def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValidationError, match="host:port"):
        receive("8125")
    assert str(ReceiveStatsdOptions().listen) == "127.0.0.1:8125"
