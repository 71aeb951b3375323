"""Monitors: word of the end of another process."""

import asyncio

import pytest

from headrace.errors import CallToSelf
from headrace.otp.gen_server import GenServer
from headrace.otp.links import Down, Monitor
from headrace.otp.ref import Ref
from tests.fakes.processes import Gate, Oops, busy, start_gate, supervising

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


class Watcher(GenServer):
    """Watches others, and notes what it hears."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def watch(self, ref: Ref[Gate]) -> Monitor:
        return self.monitor(ref)

    def look_away(self, watch: Monitor) -> None:
        self.demonitor(watch)

    def handle_info(self, message: object) -> None:
        self.told.append(message)

    def heard(self) -> list[object]:
        return self.told

    def fail(self) -> None:
        raise Oops

    async def stop_and_look_away(self, ref: Ref[Gate], watch: Monitor) -> None:
        await ref.stop()
        self.demonitor(watch)


async def test_a_stop_is_told_once_to_each_watch() -> None:
    async with supervising() as supervisor:
        watcher = await supervisor.start_child(Watcher)
        ref, _ = await start_gate(supervisor)
        first = await watcher.call(Watcher.watch, ref)
        second = await watcher.call(Watcher.watch, ref)
        await ref.stop()
        told = await watcher.call(Watcher.heard)
        assert told == [Down(first, "gate", "shutdown"), Down(second, "gate", "shutdown")]
        assert first is not second


async def test_a_crash_is_told_and_the_next_life_is_not_watched_any_more() -> None:
    async with supervising() as supervisor:
        watcher = await supervisor.start_child(Watcher)
        gates = [Gate(), Gate()]
        made = iter(gates)
        ref = await supervisor.start_child(lambda: next(made), name="gate")
        watch = await watcher.call(Watcher.watch, ref)
        error = Oops("x")
        await ref.cast(Gate.fail, error)
        assert await ref.call(Gate.noted) == []
        await ref.stop()
        assert await watcher.call(Watcher.heard) == [Down(watch, "gate", error)]


async def test_a_process_that_has_ended_already_is_told_of_at_once_with_noproc() -> None:
    async with supervising() as supervisor:
        watcher = await supervisor.start_child(Watcher)
        ref, _ = await start_gate(supervisor)
        await ref.stop()
        watch = await watcher.call(Watcher.watch, ref)
        assert await watcher.call(Watcher.heard) == [Down(watch, "gate", "noproc")]


async def test_a_watch_that_was_ended_tells_nothing_even_if_it_has_been_told_already() -> None:
    async with supervising() as supervisor:
        watcher = await supervisor.start_child(Watcher)
        one, _ = await start_gate(supervisor, "one")
        two, _ = await start_gate(supervisor, "two")
        first = await watcher.call(Watcher.watch, one)
        await watcher.call(Watcher.look_away, first)
        await one.stop()
        second = await watcher.call(Watcher.watch, two)
        await watcher.call(Watcher.stop_and_look_away, two, second)
        assert await watcher.call(Watcher.heard) == []


async def test_a_watch_ends_with_the_life_of_the_watcher_and_its_mail_with_it() -> None:
    async with supervising() as supervisor:
        watcher = await supervisor.start_child(Watcher)
        one, _ = await start_gate(supervisor, "one")
        two, gate = await start_gate(supervisor, "two")
        await busy(two, gate)
        await watcher.call(Watcher.watch, one)
        await watcher.call(Watcher.watch, two)
        watcher.cast_nowait(Watcher.fail)
        one._process.kill()  # its down waits behind the cast
        assert await watcher.call(Watcher.heard) == []
        await two.stop()
        assert await watcher.call(Watcher.heard) == []
        assert two._process.exit_hooks is None


async def test_a_process_may_watch_itself_for_nothing() -> None:
    async with supervising() as supervisor:
        watcher = await supervisor.start_child(Watcher)
        await watcher.call(lambda server: server.monitor(server.ref))
        await watcher.stop()


async def test_one_who_is_no_process_waits_for_the_end_whatever_comes_in_between() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Gate, name="gate")
        ended = asyncio.create_task(ref.ended())
        await ref.cast(Gate.fail, Oops("x"))
        assert await ref.call(Gate.noted) == []
        assert not ended.done()
        await ref.stop()
        assert await ended == "shutdown"
        assert await ref.ended() == "shutdown"


async def test_a_process_that_waits_for_its_own_end_is_told_that_it_would_for_ever() -> None:
    async def wait(server: Watcher) -> None:
        await server.ref.ended()

    async with supervising() as supervisor:
        watcher = await supervisor.start_child(Watcher, restart="temporary")
        await watcher.cast(wait)
        assert isinstance(await watcher.ended(), CallToSelf)
