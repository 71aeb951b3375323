"""What a server may say of itself: its reference, and that it ends."""

import asyncio
from typing import assert_type

import pytest

from headrace.errors import NotStarted, ProcessDown, StartFailed
from headrace.otp.gen_server import GenServer
from headrace.otp.process.process import ExitReason
from headrace.otp.ref import Ref
from headrace.otp.supervision.restart import Restart
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.processes import SMALL, Oops, hops, supervising
from tests.fakes.stepping import run_of, until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


class Clerk(GenServer):
    """Knows itself, and leaves when it is told to."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, what: str) -> list[str]:
        self.notes.append(what)
        return self.notes

    async def note_later(self, what: str) -> None:
        await self.ref.cast(Clerk.note, what)

    def own_ref(self) -> "Ref[Clerk]":
        ref = self.ref
        assert_type(ref, Ref[Clerk])
        return ref

    def leave(self, reason: ExitReason = "normal") -> str:
        self.stop(reason)
        return "good bye"

    async def leave_slowly(self, gate: asyncio.Event) -> str:
        self.stop()
        await gate.wait()
        return "good bye"


async def test_a_server_knows_its_own_reference() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Clerk)
        own = await ref.call(Clerk.own_ref)
        assert own.name == ref.name
        await ref.call(Clerk.note_later, "a")
        assert await own.call(Clerk.note, "b") == ["a", "b"]


@pytest.mark.parametrize("restart", ["temporary", "transient"])
async def test_a_server_that_stops_itself_gives_its_reply_first_and_is_not_started_again(restart: Restart) -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Clerk, restart=restart)
        assert await ref.call(Clerk.leave) == "good bye"
        assert await ref._process.terminated == "normal"


async def test_a_permanent_server_that_stops_itself_is_started_again() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Clerk, restart="permanent")
        await ref.call(Clerk.note, "a")
        assert await ref.call(Clerk.leave) == "good bye"
        assert await ref.call(Clerk.note, "b") == ["b"]


async def test_a_server_that_stops_with_an_error_has_crashed() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Clerk, restart="transient")
        await ref.call(Clerk.note, "a")
        assert await ref.call(Clerk.leave, Oops("x")) == "good bye"
        assert await ref.call(Clerk.note, "b") == ["b"]


async def test_an_async_callback_that_stops_its_server_goes_on_to_its_end() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Clerk, restart="temporary", settings=SMALL)
        gate = asyncio.Event()
        call = asyncio.create_task(ref.call(Clerk.leave_slowly, gate))
        await hops()
        gate.set()
        assert await call == "good bye"


async def test_a_server_that_stops_itself_and_does_not_return_is_cancelled_by_a_stop_from_outside() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Clerk, restart="temporary", settings=SMALL)
        call = asyncio.create_task(ref.call(Clerk.leave_slowly, asyncio.Event()))
        await hops()
        assert await ref.stop() == "normal"
        with pytest.raises(ProcessDown):
            await call


async def test_a_server_that_stops_in_init_has_not_started() -> None:
    class Unwilling(Clerk):
        def init(self) -> None:
            self.stop(Oops("not today"))

    async with supervising() as supervisor:
        with pytest.raises(StartFailed, match="could not start: Oops: not today"):
            await supervisor.start_child(Unwilling)


async def test_words_are_refused_before_init_and_to_the_object_of_a_former_life() -> None:
    made: list[Clerk] = []

    class Early(Clerk):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)
            with pytest.raises(NotStarted, match=r"Early uses self\.stop\(\) while it is no process"):
                self.stop()

    async with supervising() as supervisor:
        ref = await supervisor.start_child(Early)
        await ref.call(Clerk.leave)
        await ref.call(Clerk.note, "b")
        with pytest.raises(NotStarted):
            made[0].stop()
        assert await ref.call(Clerk.note, "c") == ["b", "c"]


class Once(Producer[int]):
    """Emits what is asked for."""

    def handle_demand(self, demand: int) -> list[int]:
        return list(range(demand))


class Sated(Consumer[int]):
    """Leaves after its first batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []

    def handle_events(self, events: list[int]) -> None:
        self.batches.append((self.ref.name, len(events)))
        self.stop()


async def test_a_stage_that_stops_itself_ends_for_good_after_its_batch() -> None:
    sated = Sated()
    topology = Topology("t")
    producer = topology.add("producer", Once)
    topology.add("sated", lambda: sated, subscribe_to=producer)
    async with topology:
        process = run_of(topology).processes["sated"]
        await until(process.terminated.done)
        assert await process.terminated == "normal"
    assert sated.batches == [("sated", 500)]
