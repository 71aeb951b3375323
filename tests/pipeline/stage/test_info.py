"""Messages that wait behind the events a stage holds."""

import asyncio

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Gated, Silent
from tests.fakes.laws import check_over
from tests.fakes.processes import Oops
from tests.fakes.stepping import run_of, settled

pytestmark = pytest.mark.asyncio


class Noting(Consumer[object]):
    """Notes events and messages in the order in which they come."""

    def __init__(self) -> None:
        self.log: list[object] = []

    def handle_events(self, events: list[object]) -> None:
        self.log += events

    def handle_info(self, message: object) -> None:
        self.log.append(message)


class NotingPass(ProducerConsumer[object, object]):
    """Emits what it gets, and each message as an event of its own."""

    def __init__(self) -> None:
        self.log: list[object] = []

    def handle_events(self, events: list[object]) -> list[object]:
        self.log += events
        return events

    def handle_info(self, message: object) -> list[object]:
        self.log.append(message)
        return [message]


class Finite(Silent):
    """Ends when the word comes that it sends itself behind its last events."""

    def handle_demand(self, demand: int) -> list[object]:
        if self.demands:
            return []
        super().handle_demand(demand)
        self.emit_nowait([1, 2, 3, 4, 5])
        self.info("done")
        return []

    def handle_info(self, message: object) -> None:
        assert message == "done"
        assert self.estimate_buffered_count() == 0
        self.stop()


async def test_a_consumer_gets_a_message_at_once() -> None:
    topology, noting, silent = Topology(), Noting(), Silent()
    topology.add("silent", lambda: silent)
    handle = topology.add("noting", lambda: noting, subscribe_to="silent")
    await topology.start()
    handle.info("first")
    silent.emit_nowait([1])
    await settled(topology)
    assert noting.log == ["first", 1]
    await topology.drain()


async def test_a_message_waits_behind_what_a_producer_has_buffered() -> None:
    class Notes(Silent):
        def handle_info(self, message: object) -> None:
            self.emit_nowait([message])

    topology, notes, collect = Topology(), Notes(), Collect()
    handle = topology.add("notes", lambda: notes)
    reader = topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    await handle.emit([1, 2])
    handle.info("behind")
    await handle.emit([3])
    await settled(topology)
    assert handle.estimate_buffered_count() == 3
    reader.subscribe(SubscribeTo("notes", max_demand=10))
    await settled(topology)
    assert collect.batches == [[1, 2], [3], ["behind"]]  # the delivery is cut in two at the message
    handle.info("at once")
    await settled(topology)
    assert collect.events[-1] == "at once"
    await topology.drain()


async def test_a_message_waits_behind_what_a_stage_in_the_middle_has_to_handle_and_to_send() -> None:
    topology, middle, silent, collect = Topology(), NotingPass(), Silent(), Collect()
    topology.add("silent", lambda: silent)
    topology.add("other", Silent)
    handle = topology.add("middle", lambda: middle, subscribe_to=["silent", "other"])
    reader = topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    silent.emit_nowait([1, 2])
    await settled(topology)
    handle.info("behind")
    silent.emit_nowait([3])
    await settled(topology)
    assert middle.log == []  # nobody has asked
    reader.subscribe(SubscribeTo("middle", max_demand=10))
    await settled(topology)
    assert middle.log == [1, 2, "behind", 3]
    assert collect.events == [1, 2, "behind", 3]
    await topology.drain()
    check_over(run_of(topology))


async def test_a_finite_producer_ends_behind_its_last_events() -> None:
    """GenStage's users ask for a clear word that everything is done (its issue 100)."""
    topology, collect = Topology(cancel="transient"), Collect()
    topology.add("finite", Finite, settings=StageSettings(buffer_size=10))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("finite", max_demand=2))
    outcome = await topology.run()
    assert outcome.is_fine
    assert collect.events == [1, 2, 3, 4, 5]


async def test_messages_survive_the_end_of_the_subscription_they_stand_in() -> None:
    topology, middle, silent = Topology(), NotingPass(), Silent()
    topology.add("silent", lambda: silent)
    handle = topology.add("middle", lambda: middle, subscribe_to="silent")
    topology.add("collect", Collect, subscribe_to=None)
    await topology.start()
    silent.emit_nowait([1, 2])
    handle.info("kept")
    handle.subscriptions()[0].cancel()
    await settled(topology)
    assert middle.log == ["kept"]
    await topology.stop()


async def test_a_message_that_comes_behind_the_last_end_is_handled_before_the_stage_completes() -> None:
    topology, middle, silent, gated = Topology(), NotingPass(), Silent(), Gated()
    topology.add("silent", lambda: silent)
    handle = topology.add("middle", lambda: middle, subscribe_to="silent")
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("middle", max_demand=1))
    await topology.start()
    for number in (1, 2):
        silent.emit_nowait([number])
        await settled(topology)
    silent.complete()
    await settled(topology)
    handle.info("behind")
    await settled(topology)
    assert middle.log == [1]  # nobody has asked for more
    gated.gate.set()
    assert (await topology.join()).is_fine
    assert middle.log == [1, 2, "behind"]
    assert gated.events == [1, 2, "behind"]


async def test_what_a_callback_for_mail_returns_is_emitted_however_the_message_came() -> None:
    class Continues(NotingPass):
        def init(self) -> None:
            self.continue_with("continued")

        async def handle_continue(self, argument: object) -> list[object]:
            return [argument]

    topology, collect, silent = Topology(), Collect(), Silent()
    topology.add("silent", lambda: silent)
    handle = topology.add("continues", Continues, subscribe_to="silent")
    topology.add("collect", lambda: collect, subscribe_to="continues")
    await topology.start()
    handle.ref.info("by ref")
    handle.info("by handle")
    silent.emit_nowait([1])
    await topology.drain()
    assert collect.events == ["continued", "by handle", "by ref", 1]


async def test_a_consumer_has_nothing_to_return_for_a_message() -> None:
    class Returns(Collect):
        def handle_info(self, message: object) -> list[object]:
            return [message]

    topology = Topology(max_restarts=0)
    topology.add("silent", Silent)
    handle = topology.add("returns", Returns, subscribe_to="silent")
    await topology.start()
    handle.ref.info("hello")
    outcome = await topology.join()
    assert "handle_info of stage 'returns' returned list, and must return None" in str(outcome.reason)


async def test_a_message_that_waits_for_a_busy_stage_survives_its_crash() -> None:
    class Crashing(Noting):
        async def crash(self) -> None:
            await gate.wait()
            raise Oops("x")

    gate, crashing, topology = asyncio.Event(), Crashing(), Topology()
    topology.add("silent", Silent)
    handle = topology.add("crashing", lambda: crashing, subscribe_to="silent")
    await topology.start()
    handle.ref.cast_nowait(Crashing.crash)
    await settled(topology)
    handle.info("behind no event")
    handle.ref.info("mail")
    gate.set()
    await settled(topology)
    assert crashing.log == ["behind no event", "mail"]
    assert run_of(topology).processes["crashing"].restarts == 1
    await topology.stop()
