"""Callbacks that wait for an end which waits for the callback: each gets an error at once, and nothing hangs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headrace.errors import CallToSelf, WaitForSelf
from headrace.otp.gen_server import GenServer
from headrace.otp.supervision.supervisor import Supervisor
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Numbers

pytestmark = pytest.mark.asyncio

Wait = Callable[[Topology], Awaitable[object]]

WAITS: dict[str, tuple[Wait, str]] = {
    "ref.stop": (lambda topology: topology.stage("keep").ref.stop(), "the end of 'keep'"),
    "drain": (lambda topology: topology.drain(), "the drain of pipeline 'shop'"),
    "join": (lambda topology: topology.join(), "the end of pipeline 'shop'"),
    "supervisor": (
        lambda topology: topology._run.supervisor.terminate_child("keep"),  # type: ignore[union-attr] # it runs
        "the end of 'keep'",
    ),
}


class Waits:
    """What stages have in common that wait for something, once, and keep the error."""

    topology: Topology
    wait: Wait

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    async def try_it(self) -> None:
        if self.errors:
            return
        try:
            await self.wait(self.topology)
        except WaitForSelf as error:
            self.errors.append(error)


class Keep(Consumer[object], Waits):
    async def handle_events(self, events: list[object]) -> None:
        await self.try_it()


class Each(ConsumerSupervisor[object], Waits):
    async def run(self, event: object) -> None:
        await self.try_it()


class Ends(Consumer[object], Waits):
    def handle_events(self, events: list[object]) -> None:
        """Do nothing."""

    async def terminate(self, reason: object) -> None:
        await self.try_it()


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("kind", [Keep, Each, Ends])
@pytest.mark.parametrize("name", WAITS)
async def test_a_callback_that_waits_for_its_own_end_gets_an_error_at_once(
    name: str, kind: type[Any], concurrency: int
) -> None:
    if concurrency > 1 and kind is not Keep:
        concurrency = 1
    topology, keep = Topology("shop"), kind()
    keep.topology = topology
    keep.wait, what = WAITS[name]
    topology.add("numbers", lambda: Numbers(20))
    settings = StageSettings(concurrency=Concurrency(concurrency))
    topology.add("keep", lambda: keep, subscribe_to="numbers", settings=settings)
    await topology.start()
    await topology.join()
    (error,) = keep.errors
    assert isinstance(error, CallToSelf)
    owner = "keep.1" if kind is Each else "keep"
    assert str(error) == (
        f"a callback of process '{owner}' waits for {what}, which waits for that callback, for ever: "
        "do not await it there, but in a task of its own, or end the process with self.stop()"
    )


async def test_a_callback_may_begin_a_drain_in_a_task_of_its_own() -> None:
    ends: list[asyncio.Task[Any]] = []

    class Starts(Consumer[object]):
        async def handle_events(self, events: list[object]) -> None:
            if not ends:
                ends.append(asyncio.create_task(topology.drain()))
            await asyncio.sleep(0)

    topology = Topology("shop")
    topology.add("numbers", Numbers)
    topology.add("starts", Starts, subscribe_to="numbers")
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_drained
    assert (await ends[0]).is_drained


async def test_a_server_may_stop_itself_by_its_ref_and_others_await_that() -> None:
    class Server(GenServer):
        async def end(self) -> Awaitable[object]:
            await asyncio.sleep(0)
            return self.ref.stop("normal")

    async with Supervisor("supervisor") as supervisor:
        ref = await supervisor.start_child(Server)
        ended = await ref.call(Server.end)
        assert await ended == "normal"  # what the callback returned for others
