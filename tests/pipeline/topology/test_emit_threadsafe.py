"""Emitting from any thread."""

import asyncio
import concurrent.futures
import threading
from itertools import pairwise

import pytest

from headrace.errors import GraphError, NoProcess
from headrace.otp.process.process import ProcessStatus
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Silent
from tests.fakes.stepping import run_of, until


def _pushed(topology: Topology, threads: int, count: int) -> list[concurrent.futures.Future[None]]:
    """Emit `count` events one by one from each of several threads; return the futures when all threads have ended."""
    futures: list[concurrent.futures.Future[None]] = []

    def push(thread: int) -> None:
        futures.extend(topology.emit_threadsafe("silent", [(thread, number)]) for number in range(count))

    workers = [threading.Thread(target=push, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return futures


@pytest.mark.asyncio
async def test_any_thread_may_emit_and_is_told_when_it_was_taken() -> None:
    topology, collect = Topology(), Collect()
    topology.add("silent", Silent)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("silent", 10))
    await topology.start()
    futures = await asyncio.to_thread(_pushed, topology, 4, 250)
    await asyncio.gather(*map(asyncio.wrap_future, futures))
    assert (await topology.drain()).is_fine
    assert sorted(collect.events) == [(thread, number) for thread in range(4) for number in range(250)]  # type: ignore[type-var] # pairs
    for thread in range(4):
        own = [event for event in collect.events if isinstance(event, tuple) and event[0] == thread]
        assert all(before < after for before, after in pairwise(own))


@pytest.mark.asyncio
async def test_who_emits_into_a_run_that_has_ended_is_told_so() -> None:
    topology = Topology()
    topology.add("silent", Silent)
    topology.add("collect", Collect, subscribe_to="silent")
    await topology.start()
    with pytest.raises(GraphError, match="does not exist"):
        topology.emit_threadsafe("nobody", [1])
    with pytest.raises(GraphError, match="is a consumer and emits nothing: emit from the stage that feeds it"):
        topology.emit_threadsafe("collect", [1])
    await topology.stop()
    with pytest.raises(NoProcess):
        await asyncio.wrap_future(topology.emit_threadsafe("silent", [1]))
    assert topology.outcome().events_lost == 0


@pytest.mark.asyncio
async def test_who_emits_into_a_stage_that_has_said_its_last_word_is_told_so() -> None:
    class Slow(Silent):
        async def terminate(self, reason: object) -> None:  # type: ignore[override] # either form is allowed
            await gate.wait()

    gate = asyncio.Event()
    topology, slow, collect = Topology(), Slow(), Collect()
    topology.add("silent", lambda: slow)
    topology.add("collect", lambda: collect, subscribe_to="silent")
    await topology.start()
    slow.complete()
    await until(lambda: run_of(topology).processes["silent"].state is ProcessStatus.STOPPING)
    with pytest.raises(NoProcess):
        await asyncio.wrap_future(topology.emit_threadsafe("silent", [1]))
    gate.set()
    assert (await topology.join()).is_fine


@pytest.mark.asyncio
async def test_a_push_that_its_thread_gave_up_in_time_is_not_emitted() -> None:
    topology, collect = Topology(), Collect()
    topology.add("silent", Silent)
    topology.add("collect", lambda: collect, subscribe_to="silent")
    await topology.start()
    given_up = topology.emit_threadsafe("silent", [1])
    assert given_up.cancel()
    await asyncio.wrap_future(topology.emit_threadsafe("silent", [2]))
    await topology.drain()
    assert collect.events == [2]


def test_who_emits_when_the_loop_is_closed_is_told_so() -> None:
    topology = Topology()
    topology.add("silent", Silent)
    topology.add("collect", Collect, subscribe_to="silent")

    async def live() -> None:
        async with topology:
            pass

    asyncio.run(live())
    with pytest.raises(NoProcess):
        topology.emit_threadsafe("silent", [1]).result(timeout=1)


@pytest.mark.asyncio
async def test_what_is_emitted_is_a_copy() -> None:
    topology, collect, mine = Topology(), Collect(), [1, 2]
    topology.add("silent", Silent)
    topology.add("collect", lambda: collect, subscribe_to="silent")
    await topology.start()
    taken = topology.emit_threadsafe("silent", mine)
    mine.clear()
    await asyncio.wrap_future(taken)
    await topology.drain()
    assert collect.events == [1, 2]
