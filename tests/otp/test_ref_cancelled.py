"""Senders that are cancelled wherever they wait: either what they sent is run, or nothing has changed."""

import asyncio

import pytest

from tests.fakes.cancelling import HOWS, How, at_every_step, cancelled_at
from tests.fakes.processes import Gate, Oops, busy, hops, start_gate, supervising

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("is_full", [True, False])
async def test_a_call_cancelled_wherever_it_waits_is_either_run_or_not(how: How, *, is_full: bool) -> None:
    async with supervising() as supervisor:

        async def attempt(step: int) -> bool:
            ref, gate = await start_gate(supervisor, f"gate {step}")
            await busy(ref, gate)
            if is_full:
                ref.cast_nowait(Gate.note, 1)
                ref.cast_nowait(Gate.note, 2)
            call = asyncio.create_task(cancelled_at(ref.call(Gate.note, 3), step, how))
            await hops(5)
            gate.gate.set_result(None)
            was_cancelled = await call
            seen = await ref.call(Gate.noted)
            assert seen[-1:] == [3] or was_cancelled
            assert [number for number in seen if number != 3] == ([1, 2] if is_full else [])
            assert seen.count(3) <= 1
            return was_cancelled

        assert await at_every_step(attempt) == 1


@pytest.mark.parametrize("how", HOWS)
async def test_a_cast_cancelled_while_it_waits_changes_nothing(how: How) -> None:
    async with supervising() as supervisor:

        async def attempt(step: int) -> bool:
            ref, gate = await start_gate(supervisor, f"gate {step}")
            await busy(ref, gate)
            ref.cast_nowait(Gate.note, 1)
            ref.cast_nowait(Gate.note, 2)
            cast = asyncio.create_task(cancelled_at(ref.cast(Gate.note, 3), step, how))
            await hops(1)
            later = asyncio.create_task(ref.cast(Gate.note, 4))
            await hops(5)
            gate.gate.set_result(None)
            was_cancelled = await cast
            await later
            is_in = how == "woken" or not was_cancelled
            assert await ref.call(Gate.noted) == ([1, 2, 3, 4] if is_in else [1, 2, 4])
            return was_cancelled

        assert await at_every_step(attempt) == 1


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("is_full", [True, False])
async def test_a_caller_cancelled_as_the_process_goes_down_leaves_no_exception_unheard(
    how: How, *, is_full: bool
) -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor)
        if is_full:
            await busy(ref, gate)
            for number in range(2):
                ref.cast_nowait(Gate.note, number)
            asyncio.get_running_loop().call_later(0, gate.gate.set_result, None)
        assert await cancelled_at(ref.call(Gate.fail, Oops("x")), 0, how)
        assert await ref.call(Gate.noted) == ([0, 1] if is_full and how == "waiting" else [])
