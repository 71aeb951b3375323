"""Services of a topology: opened in order before its stages, closed in reverse after them."""

import asyncio
from collections.abc import Sequence

import pytest

from headrace.errors import GraphError, HeadraceError, ServiceTimeout
from headrace.pipeline.failure import DeadLetterHandler, FailedEvent
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.run import Run
from headrace.pipeline.topology.topology import Topology

pytestmark = pytest.mark.asyncio


class Noted:
    """A service that notes its calls in a list that several share."""

    has_own_work = False
    close_seconds = 60.0
    failure: HeadraceError | None = None

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

    async def stop(self) -> None:
        self.notes.append(f"stop {self.name}")

    async def is_idle(self) -> bool:
        return True


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


async def test_a_service_that_does_not_open_stops_those_before_it() -> None:
    topology, notes = made(), list[str]()
    topology.add_service(Noted("a", notes))
    topology.add_service(Noted("b", notes, OSError("no disk")))
    topology.add_service(Noted("c", notes))
    with pytest.raises(OSError, match="no disk"):
        await topology.start()
    assert notes == ["open a", "open b", "stop a"]
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


class Stuck(Noted):
    """A service whose close never ends."""

    close_seconds = 0.01

    def __init__(self, notes: list[str]) -> None:
        super().__init__("stuck", notes)

    async def close(self) -> None:
        await super().close()
        await asyncio.Event().wait()


class Working(Noted):
    """A service with work of its own, which is done after a while."""

    has_own_work = True

    def __init__(self, notes: list[str], checks: int = 3) -> None:
        super().__init__("working", notes)
        self.checks = checks

    async def is_idle(self) -> bool:
        self.checks -= 1
        return self.checks < 0


async def test_a_service_that_misses_its_deadline_is_stopped_and_named_in_the_outcome(
    caplog: pytest.LogCaptureFixture,
) -> None:
    topology, notes = made(), list[str]()
    for service in (Noted("a", notes), Stuck(notes), Noted("b", notes)):
        topology.add_service(service)
    outcome = await topology.run()
    assert notes[6:] == ["close b", "close stuck", "stop stuck", "close a"]
    assert isinstance(outcome.reason, ServiceTimeout)
    assert topology.state == "failed"
    assert caplog.text.count("service 'stuck' did not close within 0.01 s: ") == 1


async def test_a_service_that_never_opens_stops_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class NeverOpens(Noted):
        async def open(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("headrace.pipeline.topology.service.OPEN_SECONDS", 0.01)
    topology, notes = made(), list[str]()
    topology.add_service(Noted("a", notes))
    topology.add_service(NeverOpens("never", notes))
    with pytest.raises(ServiceTimeout, match=r"service 'never' did not open within 0\.01 s"):
        await topology.start()
    assert notes == ["open a", "stop a"]


async def test_a_run_needs_no_stages_and_goes_on_while_a_service_works() -> None:
    topology, notes = Topology("shop"), list[str]()
    working = Working(notes)
    topology.add_service(working)
    await topology.start()
    assert topology.state == "running"
    outcome = await topology.join()
    assert (outcome.is_fine, topology.state, working.checks) == (True, "completed", -1)


async def test_a_service_that_does_not_answer_whether_it_is_idle_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Silent(Working):
        async def is_idle(self) -> bool:
            if not await super().is_idle():
                await asyncio.Event().wait()
            return True

    monkeypatch.setattr("headrace.pipeline.topology.service.IDLE_SECONDS", 0.01)
    topology, notes = Topology("shop"), list[str]()
    topology.add_service(Silent(notes))
    assert (await topology.run()).is_fine
    assert caplog.text.count("service 'working' did not answer within 0.01 s") == 1


async def test_a_drain_of_a_service_at_work_counts_as_drained() -> None:
    topology, notes = Topology("shop"), list[str]()
    topology.add_service(Working(notes, checks=1_000_000))
    await topology.start()
    outcome = await topology.drain()
    assert (outcome.is_drained, topology.state) == (True, "drained")
    assert notes == ["open working", "attach working", "drain working", "close working"]


async def test_a_run_that_goes_on_for_ever_ends_by_a_drain() -> None:
    topology = made()
    topology.is_forever = True
    await topology.start()
    joined = asyncio.ensure_future(topology.join())
    await topology._started().over
    assert not joined.done()
    await topology.drain()
    assert (await joined).is_completed
