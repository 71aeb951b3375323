"""References: calls, casts and info, and what their senders are promised."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import assert_type

import pytest

from headrace.errors import CallTimeout, CallToSelf, ForeignThread, MailboxFull, NoProcess, ProcessDown
from headrace.otp.gen_server import GenServer
from headrace.otp.process.state import ProcessSettings
from headrace.otp.ref import Ref
from headrace.otp.scheduler import Scheduler
from tests.fakes.processes import SMALL, Gate, Oops, Script, busy, hops, start_gate, supervising

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


class Sums(GenServer):
    """Adds up, at once or later."""

    def __init__(self) -> None:
        self.total = 0
        self.infos: list[object] = []

    def add(self, number: int, times: int = 1) -> int:
        self.total += number * times
        return self.total

    async def add_later(self, number: int) -> str:
        await asyncio.sleep(0)
        self.total += number
        return str(self.total)

    def handle_info(self, message: object) -> None:
        self.infos.append(message)

    def all_infos(self) -> list[object]:
        return self.infos


class Selfish(GenServer):
    """Sends mail to itself, by the reference that it is given."""

    def __init__(self) -> None:
        self.noted: list[int] = []

    def note(self, number: int) -> None:
        self.noted.append(number)

    def notes(self) -> list[int]:
        return self.noted

    async def call_itself(self, ref: "Ref[Selfish]") -> None:
        await ref.call(Selfish.note, 1)

    async def call_itself_from_a_task(self, ref: "Ref[Selfish]") -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ref.call(Selfish.note, 1))

    async def cast_to_itself(self, ref: "Ref[Selfish]", count: int) -> None:
        for number in range(count):
            await ref.cast(Selfish.note, number)


async def test_a_call_waits_for_its_turn_and_the_reply() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Sums)
        assert_type(ref, Ref[Sums])
        total = await ref.call(Sums.add, 2, times=3)
        assert_type(total, int)
        text = await ref.call(Sums.add_later, 1)
        assert_type(text, str)
        assert (total, text) == (6, "7")


async def test_a_cast_returns_once_it_is_accepted_and_its_method_runs_later() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Sums)
        await ref.cast(Sums.add, 5)
        ref.cast_nowait(Sums.add_later, 6)
        assert await ref.call(Sums.add, 0) == 11


async def test_info_goes_to_handle_info_however_full_the_mailbox_is() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Sums, settings=SMALL)
        for number in range(10):
            ref.info(number)
        assert await ref.call(Sums.all_infos) == list(range(10))


async def test_a_full_mailbox_refuses_a_cast_that_does_not_wait() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor)
        await busy(ref, gate)
        ref.cast_nowait(Gate.note, 1)
        ref.cast_nowait(Gate.note, 2)
        with pytest.raises(MailboxFull, match="'gate' is full"):
            ref.cast_nowait(Gate.note, 3)
        gate.gate.set_result(None)
        assert await ref.call(Gate.noted) == [1, 2]


async def test_casts_that_wait_for_room_are_taken_in_order() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor)
        await busy(ref, gate)
        async with asyncio.TaskGroup() as group:
            casts = [group.create_task(ref.cast(Gate.note, number)) for number in range(8)]
            await hops()
            assert [cast.done() for cast in casts] == [True] * 2 + [False] * 6
            gate.gate.set_result(None)
        assert await ref.call(Gate.noted) == list(range(8))


async def test_what_a_sender_sends_is_taken_in_its_order_whatever_it_is() -> None:
    class Log(GenServer):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def note(self, number: int) -> list[int]:
            self.seen.append(number)
            return self.seen

        def handle_info(self, number: int) -> None:
            self.seen.append(number)

    async with supervising() as supervisor:
        ref = await supervisor.start_child(Log, settings=SMALL)

        async def send(start: int) -> None:
            for number in range(start, start + 40, 4):
                ref.info(number)
                await ref.cast(Log.note, number + 1)
                await ref.call(Log.note, number + 2)
                ref.info(number + 3)

        async with asyncio.TaskGroup() as group:
            for start in (0, 100, 200):
                group.create_task(send(start))
        seen = await ref.call(Log.note, -1)
        for start in (0, 100, 200):
            assert [number for number in seen if start <= number < start + 40] == list(range(start, start + 40))


async def test_a_call_that_is_not_answered_in_time_raises_and_its_late_reply_is_dropped() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor)
        with pytest.raises(CallTimeout, match="'gate' did not answer within 0 s: give it longer with ref") as told:
            await ref.within(0).call(Gate.wait)
        assert told.value.seconds == 0
        gate.gate.set_result("late")
        assert await ref.call(Gate.wait) == "late"


async def test_a_call_whose_caller_gave_up_before_its_turn_is_not_run() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor)
        await busy(ref, gate)
        with pytest.raises(CallTimeout):
            await ref.within(0).call(Gate.note, 1)
        gate.gate.set_result(None)
        assert await ref.call(Gate.noted) == []


async def test_a_reply_that_comes_as_the_time_is_up_is_returned() -> None:
    scheduler = Scheduler()
    async with supervising(scheduler) as supervisor:
        ref = await supervisor.start_child(Sums)
        scheduler.wake(Script("other", scheduler).turns)  # so that the turn comes before the time is up
        assert await ref.within(0).call(Sums.add, 4) == 4


async def test_a_call_times_out_while_it_waits_for_room() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor)
        await busy(ref, gate)
        for number in (1, 2):
            ref.cast_nowait(Gate.note, number)
        with pytest.raises(CallTimeout):
            await ref.within(0).call(Gate.note, 3)
        gate.gate.set_result(None)
        assert await ref.call(Gate.noted) == [1, 2]


@pytest.mark.parametrize("method", [Selfish.call_itself, Selfish.call_itself_from_a_task])
async def test_a_process_that_calls_itself_is_told_at_once(
    method: Callable[[Selfish, Ref[Selfish]], Awaitable[None]],
) -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Selfish)
        with pytest.raises(ProcessDown) as caught:
            await ref.call(method, ref)
        reason = caught.value.reason
        told = reason.exceptions[0] if isinstance(reason, ExceptionGroup) else reason
        assert isinstance(told, CallToSelf)
        assert str(told).startswith("process 'Selfish' called itself and would wait forever: call the method directly")


async def test_a_process_may_cast_to_itself_as_long_as_there_is_room() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Selfish, settings=SMALL)
        await ref.call(Selfish.cast_to_itself, ref, 2)
        assert await ref.call(Selfish.notes) == [0, 1]
        with pytest.raises(ProcessDown) as caught:
            await ref.call(Selfish.cast_to_itself, ref, 3)
        assert isinstance(caught.value.reason, MailboxFull)


def _sends(ref: Ref[Gate]) -> list[Callable[[], object]]:
    return [
        partial(ref.call, Gate.noted),
        partial(ref.cast, Gate.noted),
        partial(ref.cast_nowait, Gate.noted),
        partial(ref.info, "news"),
        ref.stop,
    ]


async def _sent(send: Callable[[], object]) -> None:
    result = send()
    if isinstance(result, Awaitable):
        await result


async def test_who_has_ended_can_be_sent_nothing() -> None:
    async with supervising() as supervisor:
        ref, _ = await start_gate(supervisor)
        assert await ref.stop() == "shutdown"
        for send in _sends(ref):
            with pytest.raises(NoProcess, match="process 'gate' is not running: start it first"):
                await _sent(send)


@pytest.mark.parametrize("number", range(5))
async def test_a_foreign_thread_is_told_what_to_use_instead(number: int) -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor)
        with pytest.raises(ForeignThread, match=r"'gate' from a foreign thread: use (loop|asyncio)\.\w+_threadsafe"):
            await asyncio.to_thread(lambda: asyncio.run(_sent(_sends(ref)[number])))
        assert await ref.call(Gate.noted) == gate.seen == []


async def test_a_foreign_thread_may_call_by_way_of_the_loop() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Sums)
        loop = asyncio.get_running_loop()
        assert (
            await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(ref.call(Sums.add, 4), loop).result()) == 4
        )


@pytest.mark.parametrize("method", [Gate.fail, Gate.fail_later])
async def test_a_call_in_hand_when_the_process_crashes_is_told_the_reason(
    method: Callable[[Gate, BaseException], object],
) -> None:
    async with supervising() as supervisor:
        ref, _ = await start_gate(supervisor)
        error = Oops("ink")
        with pytest.raises(ProcessDown, match=r"'gate' ended before it answered \(Oops: ink\)") as caught:
            await ref.call(method, error)
        assert caught.value.reason is error
        assert await ref.call(Gate.noted) == []


async def test_mail_that_waits_survives_a_restart() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor, settings=ProcessSettings())
        await busy(ref, gate)
        await ref.cast(Gate.note, 1)
        waiting = asyncio.create_task(ref.call(Gate.noted))
        await hops(1)
        gate.gate.set_exception(Oops("x"))
        assert await waiting == [1]
        assert await ref.call(Gate.noted) == [1]


async def test_a_call_waits_for_a_restart_that_takes_too_long_up_to_its_timeout() -> None:
    door = asyncio.Event()

    class SlowAgain(Sums):
        async def init(self) -> None:
            await door.wait()

    door.set()
    async with supervising() as supervisor:
        ref = await supervisor.start_child(SlowAgain)
        door.clear()
        with pytest.raises(ProcessDown):
            await ref.call(lambda _: 1 // 0)
        with pytest.raises(CallTimeout):
            await ref.within(0).call(SlowAgain.add, 5)
        waiting = asyncio.create_task(ref.within(None).call(SlowAgain.add, 1))
        await hops()
        assert not waiting.done()
        door.set()
        assert await waiting == 1


async def test_calls_that_wait_when_no_restart_follows_are_told_so() -> None:
    async with supervising(max_restarts=0) as supervisor:
        ref, gate = await start_gate(supervisor, settings=ProcessSettings())
        await busy(ref, gate)
        waiting = asyncio.create_task(ref.call(Gate.noted))
        await hops(1)
        error = Oops("x")
        gate.gate.set_exception(error)
        with pytest.raises(ProcessDown) as caught:
            await waiting
        assert caught.value.reason is error


async def test_those_who_wait_for_room_when_the_process_ends_are_told_so() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor)
        await busy(ref, gate)
        for _ in range(2):
            ref.cast_nowait(Gate.note, 1)
        waiting = [asyncio.create_task(_sent(send)) for send in _sends(ref)[:2]]
        await hops(1)
        await ref.stop()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in told] == [NoProcess, NoProcess]


async def test_a_reference_says_whom_it_means_and_how_that_is() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Sums, name="sums")
        assert ref.name == "sums"
        assert repr(ref) == "<Ref 'sums' running>"
        was_alive = ref.is_alive
        await ref.stop()
        assert (was_alive, ref.is_alive) == (True, False)
        assert repr(ref) == "<Ref 'sums' ended>"
