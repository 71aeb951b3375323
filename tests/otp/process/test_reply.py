"""Replies that come later than the method returns."""

import asyncio
from typing import assert_type

import pytest

from headrace.errors import CallTimeout, ForeignThread, ProcessDown, ReplyGiven
from headrace.otp.gen_server import GenServer
from headrace.otp.process.mailbox import Reply
from headrace.otp.ref import Ref
from tests.fakes.cancelling import HOWS, How, cancelled_at
from tests.fakes.processes import Oops, hops, supervising

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


class Desk(GenServer):
    """Answers later, when it is told what."""

    def __init__(self) -> None:
        self.open: list[Reply[int]] = []
        self.shared: Reply[int] = Reply()

    def ask(self) -> Reply[int]:
        self.open.append(Reply())
        return self.open[-1]

    async def ask_later(self) -> Reply[int]:
        await asyncio.sleep(0)
        return self.ask()

    def ask_together(self) -> Reply[int]:
        return self.shared

    def ask_at_once(self, number: int) -> Reply[int]:
        reply: Reply[int] = Reply()
        reply.set(number)
        return reply

    def answer(self, number: int) -> None:
        self.open.pop(0).set(number)

    def refuse(self, error: Exception) -> None:
        self.open.pop(0).fail(error)

    def answer_all(self, number: int) -> None:
        self.shared.set(number)

    def awaited(self) -> list[bool]:
        return [reply.is_awaited for reply in self.open]

    def fail(self) -> None:
        raise Oops


async def asked(ref: Ref[Desk], *, count: int = 1) -> list[asyncio.Task[int]]:
    """Have that many callers wait for an answer."""
    calls = [asyncio.create_task(ref.call(Desk.ask)) for _ in range(count)]
    await hops()
    return calls


async def test_the_process_goes_on_while_callers_wait_and_answers_them_in_any_order() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Desk)
        calls = await asked(ref, count=2)
        await ref.call(Desk.answer, 1)
        assert await calls[0] == 1
        assert not calls[1].done()
        await ref.call(Desk.answer, 2)
        assert await calls[1] == 2
        assert ref._process.exit_hooks == {}


async def test_a_call_is_typed_by_what_the_reply_holds() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Desk)
        number = await ref.call(Desk.ask_at_once, 3)
        assert_type(number, int)
        assert number == 3
        later = asyncio.create_task(ref.call(Desk.ask_later))
        await hops()
        await ref.cast(Desk.answer, 4)
        assert_type(await later, int)
        assert later.result() == 4


async def test_an_answer_may_be_an_error_which_the_caller_gets_and_the_process_survives() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Desk)
        (call,) = await asked(ref)
        await ref.call(Desk.refuse, Oops("no"))
        with pytest.raises(Oops, match="no"):
            await call
        assert ref._process.restarts == 0


async def test_an_answer_may_come_from_anywhere_on_the_loop() -> None:
    desk = Desk()
    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: desk, name="desk")
        (call,) = await asked(ref)
        asyncio.get_running_loop().call_soon(desk.open[0].set, 7)
        assert await call == 7


@pytest.mark.parametrize("is_crash", [True, False])
async def test_callers_hear_of_the_end_of_a_process_that_owes_them_an_answer(*, is_crash: bool) -> None:
    desks = [Desk(), Desk()]
    made = iter(desks)
    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: next(made), name="desk")
        calls = await asked(ref, count=2)
        if is_crash:
            await ref.cast(Desk.fail)
        else:
            ref.stop()
        for call in calls:
            with pytest.raises(ProcessDown, match="'desk' ended before it answered"):
                await call
        desks[0].open[0].set(1)  # too late, and nobody minds


async def test_one_reply_answers_all_who_were_given_it() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Desk)
        calls = [asyncio.create_task(ref.call(Desk.ask_together)) for _ in range(3)]
        await hops()
        await ref.cast(Desk.answer_all, 5)
        assert [await call for call in calls] == [5, 5, 5]
        assert await ref.call(Desk.ask_together) == 5


async def test_a_second_answer_is_refused() -> None:
    reply: Reply[int] = Reply()
    reply.set(1)
    with pytest.raises(ReplyGiven):
        reply.fail(Oops())
    assert reply.is_given


async def test_an_answer_from_another_thread_is_refused() -> None:
    desk = Desk()
    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: desk, name="desk")
        (call,) = await asked(ref)
        with pytest.raises(ForeignThread, match="reply of 'desk' from a foreign thread: "):
            await asyncio.to_thread(desk.open[0].set, 7)
        await ref.cast(Desk.answer, 8)
        assert await call == 8


async def test_a_caller_that_has_given_up_is_known_and_its_answer_dropped() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Desk)
        with pytest.raises(CallTimeout):
            await ref.within(0.0).call(Desk.ask)
        with pytest.raises(CallTimeout):
            await ref.within(0.001).call(Desk.ask)
        await hops()
        assert ref._process.exit_hooks in (None, {})
        for number, is_awaited in enumerate(await ref.call(Desk.awaited)):
            assert not is_awaited
            await ref.call(Desk.answer, number)


async def test_a_cast_to_a_method_that_answers_later_is_answered_to_nobody() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Desk)
        await ref.cast(Desk.ask)
        await ref.call(Desk.answer, 1)
        assert ref._process.exit_hooks is None


@pytest.mark.parametrize("how", HOWS)
async def test_a_caller_cancelled_while_it_waits_for_an_answer_leaves_nothing_behind(how: How) -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Desk)
        call = asyncio.create_task(cancelled_at(ref.call(Desk.ask), 0, how))
        await hops()
        if how == "woken":
            await ref.call(Desk.answer, 1)
        assert await call
        await hops()
        assert ref._process.exit_hooks == {}


@pytest.mark.parametrize("how", HOWS)
async def test_waiting_for_an_end_may_be_cancelled_and_changes_nothing(how: How) -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Desk)
        waiting = asyncio.create_task(cancelled_at(ref.ended(), 0, how))
        await hops()
        if how == "woken":
            ref.stop()
        assert await waiting
        assert ref.is_alive is (how == "waiting")
        ref.stop() if how == "waiting" else None
        assert await ref.ended() == "shutdown"
