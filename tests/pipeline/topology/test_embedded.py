"""What a program that embeds a pipeline may rely on: sentences for foreign threads, and no failure unheard."""

import asyncio
import inspect
from collections.abc import Callable

import pytest

from headrace.errors import ForeignThread, Unrecoverable
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio


DRY = "the well is dry: dig another"


class Waiting(Producer[int]):
    def handle_demand(self, demand: int) -> list[int]:
        return []


class Broken(Producer[int]):
    def handle_demand(self, demand: int) -> list[int]:
        raise Unrecoverable(DRY)


def finish(what: object) -> None:
    """Drive an awaitable to its first await, in this thread."""
    if inspect.iscoroutine(what):
        try:
            what.send(None)
        finally:
            what.close()
    elif inspect.isasyncgen(what):
        step = what.__anext__()
        try:
            step.send(None)
        finally:
            step.close()


CALLS: dict[str, Callable[[Topology], object]] = {
    "join": lambda topology: topology.join(),
    "drain": lambda topology: topology.drain(),
    "stop": lambda topology: topology.stop(),
    "stream": lambda topology: topology.stage("numbers").stream(),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_from_a_foreign_thread_says_so_and_does_nothing(call: str) -> None:
    async with numbers(Waiting) as topology:
        with pytest.raises(ForeignThread, match=rf"^{call} of .* from a foreign thread: use "):
            await asyncio.to_thread(lambda: finish(CALLS[call](topology)))
        assert topology.state == "running"
        assert not topology.snapshot().edges


async def test_a_run_that_failed_raises_its_reason_when_the_block_itself_went_well() -> None:
    async def live(topology: Topology) -> None:
        async with topology:
            await until(lambda: topology.state == "failed")

    with pytest.raises(Unrecoverable, match=DRY):
        await live(failing())


async def test_a_block_that_raised_keeps_its_own_error_when_the_run_has_failed() -> None:
    topology = failing()
    with pytest.raises(KeyError):
        async with topology:
            raise KeyError


async def test_a_failure_that_the_block_has_heard_of_is_not_raised_again() -> None:
    async with failing() as topology:
        assert isinstance((await topology.join()).reason, Unrecoverable)
    assert topology.state == "failed"


def numbers(producer: type[Producer[int]]) -> Topology:
    topology = Topology("embedded")
    topology.add("numbers", producer)
    return topology


def failing() -> Topology:
    topology = numbers(Broken)
    topology.add("collect", Collect, subscribe_to="numbers")
    return topology
