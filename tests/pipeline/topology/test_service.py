"""Services of a topology: opened in order before its stages, closed in reverse after them."""

from collections.abc import Sequence

import pytest

from headrace.errors import GraphError
from headrace.pipeline.failure import DeadLetterHandler, FailedEvent
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.run import Run
from headrace.pipeline.topology.topology import Topology

pytestmark = pytest.mark.asyncio


class Noted:
    """A service that notes its calls in a list that several share."""

    def __init__(self, name: str, notes: list[str], error: Exception | None = None) -> None:
        self.name = name
        self.notes = notes
        self.error = error

    @property
    def dead_letter_handler(self) -> DeadLetterHandler | None:
        return None

    async def open(self) -> None:
        self.notes.append(f"open {self.name}")
        if self.error is not None:
            raise self.error

    async def attach(self, run: Run) -> None:
        self.notes.append(f"attach {self.name}")

    def drain(self) -> None:
        self.notes.append(f"drain {self.name}")

    async def close(self) -> None:
        self.notes.append(f"close {self.name}")


class Storing(Noted):
    """A service that stores the events that failed for good."""

    def __init__(self, name: str, notes: list[str]) -> None:
        super().__init__(name, notes)
        self.stored: list[object] = []

    @property
    def dead_letter_handler(self) -> DeadLetterHandler:
        return self.dead_letter

    async def dead_letter(self, failed: Sequence[FailedEvent]) -> None:
        self.stored += [one.data for one in failed]


class Three(Producer[int]):
    def handle_demand(self, demand: int) -> list[int]:
        self.complete()
        return [1, 2, 3]


class FailsOdd(Consumer[int]):
    per_event = True

    def handle_events(self, events: list[int]) -> None:
        for position, event in enumerate(events):
            if event % 2:
                self.fail_at(position, ValueError(event))


def made() -> Topology:
    topology = Topology("shop")
    topology.add("three", Three)
    topology.add("odd", FailsOdd, subscribe_to="three")
    return topology


async def test_services_open_in_order_and_close_in_reverse() -> None:
    topology, notes = made(), list[str]()
    for name in ("a", "b"):
        topology.add_service(Noted(name, notes))
    await topology.start()
    assert notes == ["open a", "open b", "attach a", "attach b"]
    await topology.join()
    assert notes[4:] == ["close b", "close a"]


async def test_a_drain_drains_services_before_the_stages() -> None:
    topology, notes = made(), list[str]()
    for name in ("a", "b"):
        topology.add_service(Noted(name, notes))
    async with topology:
        pass
    assert notes[4:] == ["drain a", "drain b", "close b", "close a"]


async def test_a_service_that_does_not_open_closes_those_before_it() -> None:
    topology, notes = made(), list[str]()
    topology.add_service(Noted("a", notes))
    topology.add_service(Noted("b", notes, OSError("no disk")))
    topology.add_service(Noted("c", notes))
    with pytest.raises(OSError, match="no disk"):
        await topology.start()
    assert notes == ["open a", "open b", "close a"]
    assert topology.state == "new"


async def test_the_first_service_that_stores_gets_the_events_that_failed() -> None:
    topology, notes = made(), list[str]()
    first, second = Storing("first", notes), Storing("second", notes)
    for service in (Noted("a", notes), first, second):
        topology.add_service(service)
    outcome = await topology.run()
    assert (first.stored, second.stored, outcome.is_fine) == ([1, 3], [], True)


async def test_a_service_is_found_by_its_class() -> None:
    topology, notes = made(), list[str]()
    storing = Storing("b", notes)
    topology.add_service(storing)
    assert topology.service(Storing) is storing
    assert topology.service(Three) is None


async def test_no_service_is_added_to_a_run() -> None:
    topology = made()
    async with topology:
        with pytest.raises(GraphError, match="add every service before"):
            topology.add_service(Noted("late", []))
