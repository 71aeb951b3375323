"""A producer whose async stream is paused, and mail to one whose stream waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest
from aiostream import pipe, stream

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.handle import StageHandle
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect
from tests.fakes.laws import check_over
from tests.fakes.stepping import run_of, settled, until

pytestmark = pytest.mark.asyncio

P = TypeVar("P", bound=Producer[int])


class Feed:
    """Gives an async stream what is put into it, and counts what was pulled."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[int] = asyncio.Queue()
        self.pulled = 0

    def put(self, *events: int) -> None:
        for event in events:
            self.waiting.put_nowait(event)

    async def events(self) -> AsyncIterator[int]:
        while True:
            event = await self.waiting.get()
            self.pulled += 1
            yield event


class Socket(Producer[int]):
    """Emits what its feed gives; answers calls of both kinds, and keeps what it heard."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.heard: list[object] = []

    def handle_demand(self, demand: int) -> AsyncIterator[int]:
        return self.feed.events()

    def ping(self) -> str:
        return "pong"

    async def ping_later(self) -> str:
        await asyncio.sleep(0)
        return "pong later"

    def remind(self, seconds: float) -> None:
        self.send_after(seconds, "reminder")

    def say(self, event: int) -> None:
        self.emit_nowait([event])

    def handle_info(self, message: object) -> None:
        self.heard.append(message)


SOURCES: dict[str, Callable[[Feed], Callable[[], Producer[int]]]] = {
    "handle_demand": lambda feed: lambda: Socket(feed),
    "from_stream": lambda feed: Producer.from_stream(feed.events()),
    "aiostream": lambda feed: Producer.from_stream(stream.iterate(feed.events()) | pipe.take(1_000_000)),
}


async def _started(factory: Callable[[], P]) -> tuple[Topology, StageHandle[P], Collect]:
    topology, collect = Topology(), Collect()
    handle = topology.add("source", factory)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("source", 10))
    await topology.start()
    await settled(topology)
    return topology, handle, collect


@pytest.mark.parametrize("name", SOURCES)
async def test_a_paused_async_stream_is_pulled_no_further_than_the_event_in_flight(name: str) -> None:
    feed = Feed()
    topology, handle, collect = await _started(SOURCES[name](feed))
    feed.put(1)
    await until(lambda: collect.events == [1])
    handle.pause()
    feed.put(2, 3, 4)
    await until(lambda: collect.events == [1, 2])  # which the stream waited for when it was paused
    await settled(topology)
    assert (feed.pulled, collect.events, handle.is_paused) == (2, [1, 2], True)
    handle.resume()
    await until(lambda: collect.events == [1, 2, 3, 4])
    assert (await topology.drain()).is_fine
    check_over(run_of(topology))


async def test_an_endless_quick_stream_stands_still_while_paused() -> None:
    pulled = 0

    async def ticks() -> AsyncIterator[int]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled
            await asyncio.sleep(0)

    topology, collect = Topology(), Collect()
    handle = topology.add("source", Producer.from_stream(ticks()))
    topology.add("collect", lambda: collect, subscribe_to="source")
    await topology.start()
    await until(lambda: len(collect.events) > 20)
    for _ in range(3):
        before = pulled
        handle.pause()
        await settled(topology)
        assert pulled <= before + 1
        assert collect.events == list(range(1, pulled + 1))
        handle.resume()
        await until(lambda: pulled > before + 20)  # noqa: B023 - it is called in this round
    assert (await topology.drain()).is_fine
    check_over(run_of(topology))


async def test_a_resume_right_after_a_pause_leaves_the_stream_running() -> None:
    feed = Feed()
    topology, handle, collect = await _started(SOURCES["from_stream"](feed))
    handle.pause()
    await settled(topology)
    handle.resume()
    await settled(topology)
    feed.put(1, 2, 3)
    await until(lambda: collect.events == [1, 2, 3])
    assert (await topology.drain()).is_fine


async def test_a_paused_async_stream_drains_and_stops() -> None:
    for end in (Topology.drain, Topology.stop):
        topology, handle, _ = await _started(SOURCES["from_stream"](Feed()))
        handle.pause()
        await settled(topology)
        outcome = await end(topology)
        assert outcome.reason is None
        check_over(run_of(topology))


async def test_calls_casts_and_timers_are_handled_while_the_stream_waits() -> None:
    socket = Socket(Feed())
    topology, handle, collect = await _started(lambda: socket)
    ref = handle.ref.within(None)
    assert await ref.call(Socket.ping) == "pong"
    await ref.cast(Socket.remind, 0.001)
    await until(lambda: socket.heard == ["reminder"])
    await ref.call(Socket.say, 7)
    socket.feed.put(1)
    await until(lambda: collect.events == [7, 1])
    handle.pause()
    assert await ref.call(Socket.ping) == "pong"
    assert (await topology.drain()).is_fine
    check_over(run_of(topology))


async def test_an_async_callback_runs_after_the_next_event_and_the_stream_goes_on() -> None:
    socket = Socket(Feed())
    topology, handle, collect = await _started(lambda: socket)
    call = asyncio.ensure_future(handle.ref.within(None).call(Socket.ping_later))
    await settled(topology)
    assert not call.done()
    socket.feed.put(1, 2, 3)
    assert await call == "pong later"
    await until(lambda: collect.events == [1, 2, 3])
    assert (await topology.drain()).is_fine
    check_over(run_of(topology))
