"""Links: lives that end together."""

import asyncio
from itertools import pairwise
from typing import ClassVar

import pytest

from headrace.errors import NoProcess, ProcessDown, StartFailed
from headrace.otp.gen_server import GenServer
from headrace.otp.links import Exit
from headrace.otp.process.process import ExitReason, ProcessStatus
from headrace.otp.ref import Ref
from tests.fakes.processes import Oops, hops, supervising
from tests.fakes.stepping import until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


class Linked(GenServer):
    """Links itself to others, and ends in every way."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.terminated: list[object] = []

    def link_to(self, ref: "Ref[Linked]") -> None:
        self.link(ref)

    def unlink_from(self, ref: "Ref[Linked]") -> None:
        self.unlink(ref)

    def leave(self, reason: ExitReason = "normal") -> None:
        self.stop(reason)

    def fail(self, error: Exception) -> None:
        raise error

    async def hang(self) -> None:
        await asyncio.Event().wait()

    def handle_info(self, message: object) -> None:
        self.told.append(message)

    def heard(self) -> list[object]:
        return self.told


class Trapping(Linked):
    """Gets exits as messages."""

    trap_exits: ClassVar[bool] = True


async def ended(ref: Ref[Linked]) -> ExitReason:
    """Return why a process has ended."""
    return await ref.ended()


@pytest.mark.parametrize("is_first", [True, False])
async def test_when_one_of_two_crashes_the_other_ends_with_the_same_reason(*, is_first: bool) -> None:
    async with supervising() as supervisor:
        one = await supervisor.start_child(Linked, name="one", restart="temporary")
        two = await supervisor.start_child(Linked, name="two", restart="temporary")
        await one.call(Linked.link_to, two)
        error = Oops("x")
        await (one if is_first else two).cast(Linked.fail, error)
        assert await one.ended() is error
        assert await two.ended() is error


async def test_a_chain_of_links_ends_whole() -> None:
    async with supervising() as supervisor:
        refs = [await supervisor.start_child(Linked, name=name, restart="temporary") for name in "abcd"]
        for one, other in pairwise(refs):
            await one.call(Linked.link_to, other)
        await refs[1].stop()
        assert [await ref.ended() for ref in refs] == ["shutdown"] * 4


async def test_a_normal_end_ends_nobody_else() -> None:
    async with supervising() as supervisor:
        one = await supervisor.start_child(Linked, name="one", restart="temporary")
        two = await supervisor.start_child(Linked, name="two", restart="temporary")
        await one.call(Linked.link_to, two)
        await two.call(Linked.leave)
        assert await two.ended() == "normal"
        await one.call(Linked.leave, "shutdown")
        assert await one.ended() == "shutdown"


@pytest.mark.parametrize("reason", ["normal", "shutdown", Oops("x")])
async def test_a_process_that_traps_exits_is_told_and_lives(reason: ExitReason) -> None:
    async with supervising() as supervisor:
        one = await supervisor.start_child(Trapping, name="one", restart="temporary")
        two = await supervisor.start_child(Linked, name="two", restart="temporary")
        await one.call(Linked.link_to, two)
        await two.call(Linked.leave, reason)
        await two.ended()
        assert await one.call(Linked.heard) == [Exit("two", reason)]


async def test_an_exit_cancels_a_callback_at_once_however_long_a_stop_would_wait() -> None:
    async with supervising() as supervisor:
        one = await supervisor.start_child(Linked, name="one", restart="temporary")
        two = await supervisor.start_child(Linked, name="two", restart="temporary")
        await one.call(Linked.link_to, two)
        call = asyncio.create_task(one.call(Linked.hang))
        await hops()
        error = Oops("x")
        await two.cast(Linked.fail, error)
        with pytest.raises(ProcessDown) as caught:
            await call
        assert caught.value.reason is error
        assert await one.ended() is error


async def test_the_supervisor_of_a_linked_process_restarts_it_and_the_link_is_gone() -> None:
    async with supervising() as supervisor:
        one = await supervisor.start_child(Linked, name="one", restart="transient")
        two = await supervisor.start_child(Linked, name="two", restart="transient")
        await one.call(Linked.link_to, two)
        await two.cast(Linked.fail, Oops("x"))
        assert await two.call(Linked.heard) == []
        assert await one.call(Linked.heard) == []
        assert (one._process.restarts, two._process.restarts) == (1, 1)
        await two.cast(Linked.fail, Oops("x"))
        assert await two.call(Linked.heard) == []
        assert (one._process.restarts, two._process.restarts) == (1, 2)


async def test_a_link_to_a_process_that_has_ended_is_an_exit_with_noproc() -> None:
    async with supervising() as supervisor:
        gone = await supervisor.start_child(Linked, name="gone")
        await gone.stop()
        one = await supervisor.start_child(Linked, name="one", restart="temporary")
        trapping = await supervisor.start_child(Trapping, name="trapping")
        await one.call(Linked.link_to, gone)
        assert isinstance(await one.ended(), NoProcess)
        await trapping.call(Linked.link_to, gone)
        assert await trapping.call(Linked.heard) == [Exit("gone", "noproc")]


async def test_a_link_that_was_ended_does_nothing_and_drops_the_exit_that_waits() -> None:
    async with supervising() as supervisor:
        one = await supervisor.start_child(Linked, name="one")
        two = await supervisor.start_child(Linked, name="two", restart="temporary")
        trapping = await supervisor.start_child(Trapping, name="trapping")
        await one.call(Linked.link_to, two)
        await two.call(Linked.unlink_from, one)
        await trapping.call(Linked.link_to, two)
        hang = asyncio.create_task(_hold(trapping, two))
        await two.ended()
        await hang
        assert await one.call(Linked.heard) == []
        assert await trapping.call(Linked.heard) == []
        assert one._process.restarts == 0


async def _hold(trapping: Ref[Linked], two: Ref[Linked]) -> None:
    async def stop_and_unlink(server: Linked) -> None:
        await two.cast(Linked.fail, Oops("x"))
        await two.ended()
        server.unlink(two)

    await trapping.call(stop_and_unlink)


async def test_linking_twice_is_linking_once_and_to_oneself_is_nothing() -> None:
    async with supervising() as supervisor:
        one = await supervisor.start_child(Trapping, name="one")
        two = await supervisor.start_child(Linked, name="two")
        for ref in (two, two, one):
            await one.call(Linked.link_to, ref)
        await two.stop()
        assert await one.call(Linked.heard) == [Exit("two", "shutdown")]
        await one.stop()


async def test_linked_processes_end_with_their_supervisor_as_all_do() -> None:
    async with supervising() as supervisor:
        one = await supervisor.start_child(Linked, name="one")
        two = await supervisor.start_child(Linked, name="two")
        await one.call(Linked.link_to, two)
        supervisor.stop()
        await until(lambda: two._process.state is ProcessStatus.ENDED)
        assert await one.ended() == "shutdown"


async def test_an_exit_that_comes_during_init_fails_the_start() -> None:
    async with supervising() as supervisor:
        two = await supervisor.start_child(Linked, name="two", restart="temporary")

        class Hanging(Linked):
            async def init(self) -> None:
                self.link(two)
                await self.hang()

        start = asyncio.create_task(supervisor.start_child(Hanging, name="one"))
        await hops()
        error = Oops("x")
        await two.cast(Linked.fail, error)
        with pytest.raises(StartFailed, match="'one' could not start: Oops: x"):
            await start
        assert [child.name for child in supervisor.which_children()] == []
