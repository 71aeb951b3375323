"""The registry: names of live processes."""

import pytest

from headrace.ground.errors import NameTaken, NoProcess
from headrace.pipeline.process.registry import Registry
from headrace.pipeline.process.scheduler import Scheduler
from tests.fakes.processes import Script

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


async def test_a_process_is_found_by_its_name() -> None:
    registry, scheduler = Registry(), Scheduler()
    processes = {name: Script(name, scheduler) for name in "cab"}
    for name, process in processes.items():
        registry.register(name, process)
    assert registry.names() == ["a", "b", "c"]
    assert registry.whereis("b") is processes["b"]


async def test_a_name_that_a_live_process_has_is_taken_for_others_and_not_for_itself() -> None:
    registry, scheduler = Registry(), Scheduler()
    process = Script("a", scheduler)
    registry.register("a", process)
    registry.register("a", process)
    with pytest.raises(NameTaken, match="the name 'a' is taken by a live process: stop that one first"):
        registry.register("a", Script("a", scheduler))
    assert registry.whereis("a") is process


async def test_the_name_of_a_process_that_has_ended_is_free() -> None:
    registry, scheduler = Registry(), Scheduler()
    process, successor = Script("a", scheduler), Script("a", scheduler)
    registry.register("a", process)
    process.stop()
    assert registry.names() == []
    with pytest.raises(NoProcess, match="'a'"):
        registry.whereis("a")
    registry.register("a", successor)
    registry.unregister("a", process)
    assert registry.whereis("a") is successor


async def test_nobody_is_found_under_a_name_that_was_given_back_or_never_given() -> None:
    registry, process = Registry(), Script("a", Scheduler())
    registry.register("a", process)
    registry.unregister("a", process)
    for name in ("a", "b"):
        with pytest.raises(NoProcess, match=name):
            registry.whereis(name)
