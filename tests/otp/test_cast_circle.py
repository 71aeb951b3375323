"""Processes that cast into each other's full mailboxes: none waits for ever."""

import asyncio

import pytest

from headrace.errors import CastCircle, MailboxFull
from headrace.otp.gen_server import GenServer
from headrace.otp.ref import Ref
from tests.fakes.processes import SMALL, hops, supervising

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


class Peer(GenServer):
    """Casts many things to another, and notes what it gets, and why it could not go on."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.failures: list[Exception] = []

    def note(self, number: int) -> None:
        self.got.append(number)

    def notes(self) -> tuple[list[int], list[Exception]]:
        return self.got, self.failures

    async def cast_many(self, other: "Ref[Peer]", numbers: range) -> None:
        try:
            for number in numbers:
                await other.cast(Peer.note, number)
        except MailboxFull as error:
            self.failures.append(error)

    async def cast_beside(self, other: "Ref[Peer]", numbers: range) -> asyncio.Task[None]:
        return asyncio.create_task(self.cast_many(other, numbers))


async def test_the_last_of_two_that_fill_each_other_s_mailboxes_is_told_at_once_and_nothing_is_lost() -> None:
    async with supervising() as supervisor:
        left = await supervisor.start_child(Peer, name="left", settings=SMALL)
        right = await supervisor.start_child(Peer, name="right", settings=SMALL)
        await left.cast(Peer.cast_many, right, range(10))
        await right.cast(Peer.cast_many, left, range(10))
        await hops(20)
        lucky, unlucky = await left.call(Peer.notes), await right.call(Peer.notes)
        assert [error.names for error in unlucky[1] if isinstance(error, CastCircle)] == [("right", "left", "right")]
        assert "('right' -> 'left' -> 'right'): use cast_nowait" in str(unlucky[1][0])
        assert lucky == ([0, 1], [])
        assert unlucky[0] == list(range(10))


async def test_a_circle_of_three_is_found_too() -> None:
    async with supervising() as supervisor:
        refs = [await supervisor.start_child(Peer, name=name, settings=SMALL) for name in "abc"]
        for ref, other in zip(refs, refs[1:] + refs[:1], strict=True):
            await ref.cast(Peer.cast_many, other, range(10))
        failures = [error for ref in refs for error in (await ref.call(Peer.notes))[1]]
        assert [error.names for error in failures if isinstance(error, CastCircle)] == [("c", "a", "b", "c")]


async def test_a_task_beside_the_callbacks_may_wait_for_room_for_the_process_goes_on() -> None:
    async with supervising() as supervisor:
        left = await supervisor.start_child(Peer, name="left", settings=SMALL)
        right = await supervisor.start_child(Peer, name="right", settings=SMALL)
        beside = await left.call(Peer.cast_beside, right, range(10))
        await right.call(Peer.cast_many, left, range(10))
        await beside
        assert await left.call(Peer.notes) == (list(range(10)), [])
        assert await right.call(Peer.notes) == (list(range(10)), [])


async def test_a_sender_that_is_stopped_while_it_waits_waits_for_nobody_any_more() -> None:
    async with supervising() as supervisor:
        left = await supervisor.start_child(Peer, name="left", settings=SMALL)
        gate = asyncio.Event()
        right = await supervisor.start_child(Peer, name="right", settings=SMALL)

        async def hold(_: Peer) -> None:
            await gate.wait()

        await right.cast(hold)
        await left.cast(Peer.cast_many, right, range(10))
        await hops()
        assert len(supervisor.scheduler.waiting) == 1
        await left.stop()
        assert supervisor.scheduler.waiting == {}
        gate.set()
        assert (await right.call(Peer.notes))[0] == [0, 1]


async def test_two_processes_that_cast_to_each_other_with_room_get_everything_in_order() -> None:
    async with supervising() as supervisor:
        left = await supervisor.start_child(Peer, name="left")
        right = await supervisor.start_child(Peer, name="right")
        async with asyncio.TaskGroup() as group:
            group.create_task(left.call(Peer.cast_many, right, range(1000)))
            group.create_task(right.call(Peer.cast_many, left, range(1000)))
        assert await left.call(Peer.notes) == (list(range(1000)), [])
        assert await right.call(Peer.notes) == (list(range(1000)), [])
