"""What `handle_events` may return, at the end of a graph and in its middle, and what it must not."""

from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from headrace.errors import BadReturn, RestartsExhausted
from headrace.otp.process.process import ProcessStatus
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.topology import Topology
from headrace.telemetry.counts import FamilySpec
from tests.fakes.flow_stages import Apply, Collect, Numbers, Pass, Silent
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled

FORMS: dict[str, Callable[[list[object]], Iterable[object]]] = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "generator": lambda events: (event for event in events),
    "the batch itself": lambda events: events,
}


@pytest.mark.asyncio
@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_events_is_passed_on_in_order(form: str) -> None:
    topology, collect = Topology(), Collect()
    topology.add("numbers", lambda: Numbers(100))
    topology.add("apply", lambda: Apply(FORMS[form]), subscribe_to=SubscribeTo("numbers", 10))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("apply", 7))
    assert (await topology.run()).is_fine
    assert collect.events == list(range(1, 101))


class _Returns(ProducerConsumer[object, object]):
    def __init__(self, returned: object) -> None:
        self.returned = returned

    def handle_events(self, events: list[object]) -> list[object]:
        return self.returned  # type: ignore[return-value] # the mistake under test


class _ReturnsLater(_Returns):
    async def handle_events(self, events: list[object]) -> list[object]:  # type: ignore[override] # either form is allowed
        return self.returned  # type: ignore[return-value] # the mistake under test


class _Yields(ProducerConsumer[object, object]):
    async def handle_events(self, events: list[object]) -> AsyncIterator[object]:  # type: ignore[override] # the mistake
        for event in events:
            yield event


async def _refused(stage: Callable[[], ProducerConsumer[object, object] | Consumer[object]]) -> str:
    topology, numbers = Topology(), Numbers()
    topology.add("numbers", lambda: numbers)
    topology.add("stage", stage, subscribe_to="numbers")
    if isinstance(stage(), ProducerConsumer):
        topology.add("collect", Collect, subscribe_to="stage")
    outcome = await topology.run()
    assert isinstance(outcome.reason, RestartsExhausted)
    assert isinstance(outcome.reason.reason, BadReturn)
    assert outcome.events_lost == numbers.emitted
    check_end(run_of(topology))
    return str(outcome.reason.reason)


@pytest.mark.asyncio
@pytest.mark.parametrize("form", [_Returns, _ReturnsLater])
@pytest.mark.parametrize("returned", [None, "text", {"a": 1}, 7])
async def test_what_is_no_list_of_events_is_refused(form: Callable[[object], _Returns], returned: object) -> None:
    assert await _refused(lambda: form(returned)) == (
        f"handle_events of stage 'stage' returned {type(returned).__name__}, and must return a list of events "
        "(empty when there are none), or another iterable of them"
    )


@pytest.mark.asyncio
async def test_a_generator_that_awaits_is_refused_in_the_middle() -> None:
    assert (await _refused(_Yields)).startswith("handle_events of stage 'stage' returned async_generator, and must")


@pytest.mark.asyncio
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_consumer_that_returns_events_is_refused(is_async: bool) -> None:  # noqa: FBT001
    class Returns(Consumer[object]):
        def handle_events(self, events: list[object]) -> None:
            return events  # type: ignore[return-value] # the mistake under test

    class ReturnsLater(Consumer[object]):
        async def handle_events(self, events: list[object]) -> None:
            return events  # type: ignore[return-value] # the mistake under test

    assert await _refused(ReturnsLater if is_async else Returns) == (
        "handle_events of stage 'stage' returned list, and must return None: a consumer emits nothing"
    )


@pytest.mark.asyncio
async def test_what_is_pushed_goes_out_beside_what_is_returned_and_is_counted_after_the_end() -> None:
    class Pushes(ProducerConsumer[int, int]):
        def handle_events(self, events: list[int]) -> list[int]:
            self.emit_nowait([-event for event in events])
            return events

    topology, collect, pushes = Topology(), Collect(), Pushes()
    topology.add("numbers", lambda: Numbers(6))
    topology.add("pushes", lambda: pushes, subscribe_to=SubscribeTo("numbers", 3, 0))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("pushes", 2))
    assert (await topology.run()).is_fine
    assert collect.events == [-1, -2, -3, 1, 2, 3, -4, -5, -6, 4, 5, 6]
    pushes.emit_nowait([7])
    stage = topology.snapshot().stages[1]
    assert (stage.events_sent, stage.discarded["cancelled"]) == (12, 1)


@pytest.mark.asyncio
async def test_one_in_the_middle_that_its_producer_ended_ends_its_own_consumers() -> None:
    topology, silent, collect = Topology(cancel="permanent"), Silent(), Collect()
    topology.add("silent", lambda: silent)
    topology.add("pass", Pass, subscribe_to="silent")
    topology.add("collect", lambda: collect, subscribe_to="pass")
    await topology.start()
    silent.emit_nowait([1, 2])
    run_of(topology).processes["silent"].stop()
    await settled(topology)
    assert collect.reasons == ["shutdown"]
    assert collect.events == [1, 2]
    assert all(process.state is ProcessStatus.ENDED for process in run_of(topology).processes.values())
    outcome = await topology.join()
    assert (outcome.is_completed, outcome.events_lost) == (False, 0)


@pytest.mark.asyncio
async def test_a_stage_knows_its_name_counts_what_it_drops_and_keeps_its_metrics_over_restarts() -> None:
    class Picky(ProducerConsumer[int, int]):
        known_discards = ("odd",)

        def init(self) -> None:
            self.family = self.metrics.declare(FamilySpec("counter", "seen", "What was seen."))

        def handle_events(self, events: list[int]) -> list[int]:
            self.family.add((), len(events))
            if events[0] == 5:
                raise KeyError(self.name)
            even = [event for event in events if event % 2 == 0]
            self.discard(len(events) - len(even), "odd")
            return even

    topology, collect = Topology(), Collect()
    topology.add("numbers", lambda: Numbers(12))
    topology.add("picky", Picky, subscribe_to=SubscribeTo("numbers", 4, 0))
    topology.add("collect", lambda: collect, subscribe_to="picky")
    assert (await topology.run()).events_lost == 4
    assert collect.events == [2, 4, 10, 12]
    stage = topology.snapshot().stages[1]
    assert stage.error is None or "picky" in stage.error
    assert (stage.discarded["odd"], stage.discarded["crash"]) == (4, 4)
    assert stage.families[0].samples == {(): 12}
