"""Readers of a stage that are cancelled, or whose stage is."""

import asyncio
from contextlib import aclosing

import pytest

from headrace.errors import ProcessDown
from headrace.pipeline.message import Message
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.cancelling import HOWS, How, at_every_step, cancelled_at
from tests.fakes.flow_stages import Silent
from tests.fakes.laws import check_over
from tests.fakes.processes import Abort
from tests.fakes.stepping import run_of, settled


async def soon() -> None:
    """Suspend on a future that is done soon."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, None)
    await future


@pytest.mark.asyncio
@pytest.mark.parametrize("reason", [asyncio.CancelledError(), Abort("x")])
async def test_a_stage_that_was_cancelled_does_not_cancel_its_reader(reason: BaseException) -> None:
    class Cancelled(Producer[int]):
        async def handle_demand(self, demand: int) -> list[int]:
            raise reason

    topology = Topology(max_restarts=0)
    handle = topology.add("cancelled", Cancelled)
    await topology.start()
    with pytest.raises(ProcessDown, match="'cancelled' ended before it answered") as caught:
        await anext(handle.stream())
    assert caught.value.reason is reason
    await topology.join()


@pytest.mark.asyncio
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("is_acknowledged", [True, False])
async def test_what_a_reader_cancelled_anywhere_had_not_read_goes_to_another(
    how: How, *, is_acknowledged: bool
) -> None:
    async def attempt(step: int) -> bool:
        topology, source = Topology(), Silent()
        source.emits_messages = is_acknowledged
        handle = topology.add("source", lambda: source)
        read: list[object] = []
        await topology.start()

        async def reading() -> None:
            async with aclosing(handle.stream(4, 2)) as events:
                async for event in events:
                    read.append(event)
                    await soon()
                    if len(read) == 10:
                        return

        work = asyncio.create_task(cancelled_at(reading(), step, how))
        await settled(topology)
        source.emit_nowait([Message(number) if is_acknowledged else number for number in range(12)])
        was_cancelled = await work
        source.complete()
        read += [event async for event in handle.stream()]
        again = next((at for at, one in enumerate(read) if one in read[:at]), None)
        if is_acknowledged and again is not None:  # the body had not asked for the next one
            assert read[again] == read[again - 1]
            del read[again]
        assert read == list(range(12))
        assert (await topology.join()).is_fine
        check_over(run_of(topology))
        return was_cancelled

    assert await at_every_step(attempt) > 10
