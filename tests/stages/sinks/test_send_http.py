"""Events go out as requests, and what the peer did not take fails alone, in words that a retry understands."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.errors import StartFailed
from headrace.http.client import PeerBusy, PeerRefused, PeerSilent, RequestFailed
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer import HandlingRuntime
from headrace.stages.sinks.send_http import SendHttp, SendHttpOptions
from tests.fakes.acknowledged_stages import Told
from tests.fakes.flaky_peer import Peer, serving
from tests.stages.runs import chain, run, run_events

pytestmark = pytest.mark.asyncio

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def send(url: str, **said: object) -> SendHttp:
    return SendHttp(SendHttpOptions.model_validate({"url": url, **said}), lambda: NOON)


async def failed_with(peer: Peer, **said: object) -> RequestFailed:
    async with serving(peer) as url:
        stage = send(url, **said)
        unused: Any = None
        stage._runtime = HandlingRuntime(StageCounts("send"), unused, unused)
        stage.init()
        with pytest.raises(RequestFailed) as caught:
            await stage._send({"n": 1})
        await stage.terminate("normal")
    return caught.value


async def test_an_event_is_a_request_and_a_list_is_one_too() -> None:
    peer = Peer()
    async with serving(peer) as url:
        stage = send(url, headers={"Authorization": "Bearer s"}, idempotency_key="'k'")
        ran = await run_events([{"n": "ä"}, [1, 2]], stage)
    assert ran.outcome.is_fine
    assert [json.loads(got.body) for got in peer.got] == [{"n": "ä"}, [1, 2]]
    first = peer.got[0]
    assert first.head.startswith("POST /orders HTTP/1.1\r\n")
    told = [first.header(name) for name in ("content-type", "authorization", "idempotency-key")]
    assert told == ["application/json", "Bearer s", "k"]


async def test_the_items_of_a_list_are_lines() -> None:
    peer = Peer()
    async with serving(peer) as url:
        await run_events([[{"n": 1}, {"n": 2}], 3], send(url, encode="ndjson", method="PUT"))
    assert [got.body for got in peer.got] == [b'{"n":1}\n{"n":2}\n', b"3\n"]
    assert peer.got[0].header("content-type") == "application/x-ndjson"


@pytest.mark.parametrize(
    ("said", "kind", "seconds"),
    [
        ("503", PeerBusy, None),
        ("429\nretry-after: 7", PeerBusy, 7.0),
        ("503\nretry-after: Thu, 01 Jan 2026 12:01:00 GMT", PeerBusy, 60.0),
        ("408", PeerBusy, None),
        ("400", PeerRefused, None),
        ("302", PeerRefused, None),
        ("drop", PeerSilent, None),
    ],
)
async def test_an_answer_that_is_no_success_has_its_class(
    said: str, kind: type[RequestFailed], seconds: float | None
) -> None:
    error = await failed_with(Peer(lambda _: said))
    assert type(error) is kind
    assert getattr(error, "retry_after_seconds", None) == seconds
    assert str(error).startswith("127.0.0.1 ")


async def test_a_peer_that_hangs_is_given_up_in_time() -> None:
    error = await failed_with(Peer(lambda _: "hang"), request_timeout="20ms")
    assert str(error) == "127.0.0.1 did not answer within 0.02 s (request_timeout)"


async def test_what_counts_as_success_can_be_said() -> None:
    peer = Peer(lambda _: "409")
    async with serving(peer) as url:
        assert (await run_events([1], send(url, success=["2xx", 409]))).outcome.is_fine


async def test_only_the_event_that_the_peer_refuses_fails() -> None:
    peer = Peer(lambda number: "400" if number == 2 else "200")
    source = Told(3)
    async with serving(peer) as url:
        await run(source, send(url))
    assert source.outcomes() == [Outcome.DONE, Outcome.FAILED, Outcome.DONE]


async def test_what_is_no_json_fails_and_is_not_sent() -> None:
    peer = Peer()
    async with serving(peer) as url:
        ran = await run_events([object(), 1], send(url))
    assert ran.stages[1].errors == {"BadEvent": 1}
    assert [got.body for got in peer.got] == [b"1"]


async def test_without_a_client_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.delitem(sys.modules, "headrace.http.client", raising=False)
    topology, _ = chain(Told(1), send("http://127.0.0.1:1/"))
    with pytest.raises(StartFailed, match=r"needs httpx2, which is not installed: pip install 'headrace\[http\]'"):
        await topology.start()


@pytest.mark.parametrize(
    "said",
    [{"url": "ftp://a"}, {"url": "http://"}, {"headers": {"a b": "c"}}, {"headers": {"a": "b\nc"}}, {"success": "6xx"}],
)
async def test_options_that_make_no_sense_are_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SendHttpOptions.model_validate({"url": "http://127.0.0.1:1/", **said})


async def test_values_of_headers_are_not_shown() -> None:
    options = SendHttpOptions.model_validate({"url": "http://a/", "headers": {"Authorization": "sesame"}})
    assert "sesame" not in repr(options) + options.model_dump_json()
