"""Context variables: kept within a process, and seen nowhere else."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from headrace.errors import ProcessDown
from headrace.otp.gen_server import GenServer
from headrace.otp.process.process import CURRENT
from headrace.otp.ref import Ref
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Numbers
from tests.fakes.processes import Oops, supervising

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]

VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


class Keeper(GenServer):
    """Sets a variable in its callbacks, and says what it sees."""

    at_the_end: str | None = None

    def init(self) -> None:
        self.at_the_start = VARIABLE.get()

    def set(self, value: str) -> None:
        VARIABLE.set(value)

    async def set_later(self, value: str) -> None:
        await asyncio.sleep(0)
        VARIABLE.set(value)

    def get(self) -> str:
        return VARIABLE.get()

    async def get_later(self) -> str:
        await asyncio.sleep(0)
        return VARIABLE.get()

    async def get_in_a_task(self) -> str:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.get_later())
        return task.result()

    def start(self) -> str:
        return self.at_the_start

    def crash(self) -> None:
        raise Oops

    def current(self) -> str:
        return CURRENT.get().name

    async def current_later(self) -> str:
        await asyncio.sleep(0)
        return CURRENT.get().name


SETS = pytest.mark.parametrize("change", [Keeper.set, Keeper.set_later])


@SETS
async def test_what_a_callback_sets_is_seen_by_the_next_of_its_process_and_by_nobody_else(
    change: Callable[[Keeper, str], object],
) -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Keeper, name="keeper")
        other = await supervisor.start_child(Keeper, name="other")
        await ref.call(change, "kept")
        for get in (Keeper.get, Keeper.get_later, Keeper.get_in_a_task):
            assert await ref.call(get) == "kept"
            assert await other.call(get) == "unset"
        assert VARIABLE.get() == "unset"


async def test_a_process_begins_with_a_copy_of_the_context_in_which_it_was_started() -> None:
    async with supervising() as supervisor:
        token = VARIABLE.set("the starter's")
        ref = await supervisor.start_child(Keeper)
        VARIABLE.reset(token)
        assert await ref.call(Keeper.start) == "the starter's"
        assert await ref.call(Keeper.get) == "the starter's"


async def test_a_caller_s_context_is_no_concern_of_the_process() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Keeper)
        token = VARIABLE.set("the caller's")
        seen = await ref.call(Keeper.get)
        VARIABLE.reset(token)
        assert seen == "unset"


@SETS
async def test_after_a_restart_the_context_is_that_of_the_first_start_again(
    change: Callable[[Keeper, str], object],
) -> None:
    async with supervising() as supervisor:
        token = VARIABLE.set("the starter's")
        ref = await supervisor.start_child(Keeper)
        VARIABLE.reset(token)
        await ref.call(change, "kept")
        with pytest.raises(ProcessDown):
            await ref.call(Keeper.crash)
        assert await ref.call(Keeper.start) == "the starter's"
        assert await ref.call(Keeper.get_later) == "the starter's"


@SETS
async def test_a_child_started_by_a_process_begins_with_that_one_s_context(
    change: Callable[[Keeper, str], object],
) -> None:
    async with supervising() as supervisor:

        class Parent(Keeper):
            async def bear(self) -> "Ref[Keeper]":
                return await supervisor.start_child(Keeper, name="child")

        parent = await supervisor.start_child(Parent, name="parent")
        await parent.call(change, "the parent's")
        child = await parent.call(Parent.bear)
        assert await child.call(Keeper.get) == "the parent's"
        await child.call(change, "the child's")
        assert await parent.call(Keeper.get) == "the parent's"


class Last(Keeper):
    """Notes what it sees at its end."""

    def __init__(self, seen: list[tuple[str, str]]) -> None:
        self.seen = seen

    def terminate(self, reason: object) -> object:
        self.seen.append((VARIABLE.get(), CURRENT.get().name))
        return None


class LastLater(Last):
    """Does the same in its own time."""

    async def terminate(self, reason: object) -> object:
        await asyncio.sleep(0)
        return super().terminate(reason)


@pytest.mark.parametrize("kind", [Last, LastLater])
async def test_terminate_sees_what_the_callbacks_before_it_set(kind: type[Last]) -> None:
    seen: list[tuple[str, str]] = []
    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: kind(seen), name="last")
        await ref.call(Keeper.set, "first life")
        with pytest.raises(ProcessDown):
            await ref.call(Keeper.crash)
        await ref.call(Keeper.set_later, "second life")
        await ref.stop()
    assert seen == [("first life", "last"), ("second life", "last")]


async def test_callbacks_know_whose_they_are() -> None:
    async with supervising() as supervisor:
        refs = [await supervisor.start_child(Keeper, name=name) for name in "ab"]
        for get in (Keeper.current, Keeper.current_later):
            assert [await ref.call(get) for ref in refs] == ["a", "b"]
        assert CURRENT.get(None) is None


class Mark(ProducerConsumer[int, int]):
    """Sets the variable to its own name before each batch, and notes what it saw."""

    def __init__(self, name: str, seen: list[tuple[str, str]]) -> None:
        self.own = name
        self.seen = seen

    def handle_events(self, events: list[int]) -> list[int]:
        self.seen.append((self.own, VARIABLE.get()))
        VARIABLE.set(self.own)
        return events


class Sink(Consumer[int]):
    """Does the same in its own time."""

    def __init__(self, seen: list[tuple[str, str]]) -> None:
        self.seen = seen

    async def handle_events(self, events: list[int]) -> None:
        self.seen.append(("last", VARIABLE.get()))
        await asyncio.sleep(0)
        VARIABLE.set("last")


async def test_the_stages_of_a_pipeline_see_nothing_of_each_other_s_context() -> None:
    seen: list[tuple[str, str]] = []
    topology = Topology()
    topology.add("numbers", lambda: Numbers(4000))
    topology.add("first", lambda: Mark("first", seen), subscribe_to="numbers")
    topology.add("second", lambda: Mark("second", seen), subscribe_to="first")
    topology.add("last", lambda: Sink(seen), subscribe_to="second")
    token = VARIABLE.set("the starter's")
    await topology.start()
    VARIABLE.reset(token)
    assert (await topology.join()).is_fine
    for name in ("first", "second", "last"):
        before = [value for own, value in seen if own == name]
        assert before[0] == "the starter's"
        assert set(before[1:]) == {name}
    assert VARIABLE.get() == "unset"
