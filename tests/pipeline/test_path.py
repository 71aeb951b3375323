"""A path that carries messages, end to end: each event of the source is told exactly once what became of it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

import pytest

from headrace.errors import BadReturn, RestartsExhausted
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import AnyMessage, Derive, Each, EachLater, KeepMessages, Told
from tests.fakes.flow_stages import Numbers
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled, until

BROADCAST = StageSettings(dispatcher="broadcast")
WINDOWS = [(1, 0), (3, 1), (10, 5), (1000, 500)]
DONE, FAILED = Outcome.DONE, Outcome.FAILED


def _itself(number: int) -> Sequence[object]:
    return [number]


def _fails_on_thirds(number: int) -> Sequence[object]:
    if number % 3 == 0:
        raise ValueError(number)
    return [number]


@pytest.mark.asyncio
@pytest.mark.parametrize("window", WINDOWS)
async def test_messages_fanned_out_and_merged_again_are_told_once_with_the_worst_outcome(
    window: tuple[int, int],
) -> None:
    topology, source, sink = Topology(), Told(50), KeepMessages()
    topology.add("source", lambda: source, settings=BROADCAST)
    topology.add("whole", lambda: Derive(_itself), subscribe_to=SubscribeTo("source", *window))
    topology.add("each", lambda: Each(_fails_on_thirds), subscribe_to=SubscribeTo("source", *window))
    topology.add("merged", lambda: Derive(_itself), subscribe_to=[SubscribeTo("whole", 7), SubscribeTo("each", 4)])
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("merged", *window))
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert outcome.events_failed == 16
    assert source.outcomes() == [FAILED if number % 3 == 0 else DONE for number in range(1, 51)]
    assert len(sink.data) == 50 + 34
    check_end(run_of(topology))


@pytest.mark.asyncio
@pytest.mark.parametrize("form", [Each, EachLater])
async def test_a_per_event_stage_sees_data_and_its_outputs_are_told_of(
    form: Callable[[Callable[[int], Sequence[object]]], Each],
) -> None:
    topology, source, sink = Topology(), Told(20), KeepMessages()
    topology.add("source", lambda: source)
    topology.add("each", lambda: form(lambda number: [number] * (number % 3)), subscribe_to=SubscribeTo("source", 8))
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("each", 3))
    await topology.start()
    assert (await topology.join()).is_fine
    assert sink.data == [number for number in range(1, 21) for _ in range(number % 3)]
    assert source.outcomes() == [DONE] * 20


@pytest.mark.asyncio
async def test_what_is_filtered_out_is_done_with() -> None:
    topology, source = Topology(), Told(10)
    topology.add("source", lambda: source)
    topology.add("none", lambda: Derive(lambda _: []), subscribe_to="source")
    topology.add("sink", KeepMessages, subscribe_to="none")
    await topology.start()
    assert (await topology.join()).is_fine
    assert source.outcomes() == [DONE] * 10


@pytest.mark.asyncio
async def test_nothing_is_told_before_the_last_descendant_ended() -> None:
    class Waits(KeepMessages):
        async def handle_events(self, events: list[AnyMessage]) -> None:  # type: ignore[override] # either form is allowed
            await gate.wait()
            super().handle_events(events)

    gate = asyncio.Event()
    topology, source, quick = Topology(), Told(4), KeepMessages()
    topology.add("source", lambda: source, settings=BROADCAST)
    topology.add("quick", lambda: quick, subscribe_to="source")
    topology.add("slow", Waits, subscribe_to="source")
    await topology.start()
    await settled(topology)
    assert (quick.data, source.told) == ([1, 2, 3, 4], {})
    gate.set()
    await topology.join()
    assert source.outcomes() == [DONE] * 4


class _Pairs(ProducerConsumer[AnyMessage, AnyMessage]):
    """Makes one of two, each with both parents."""

    takes_messages = True

    def handle_events(self, events: list[AnyMessage]) -> list[AnyMessage]:
        first, *others = events
        return [first.derive([event.data for event in events], *others)]


@pytest.mark.asyncio
async def test_what_many_parents_have_in_common_is_told_to_all_of_them() -> None:
    topology, source, sink = Topology(), Told(20), KeepMessages(*[KeyError("sink")] * 2)
    topology.add("source", lambda: source)
    topology.add("pairs", _Pairs, subscribe_to=SubscribeTo("source", 4, 2))
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("pairs", 2))
    await topology.start()
    assert (await topology.join()).is_completed
    assert sink.data == [[number, number + 1] for number in range(1, 20, 2)]
    assert source.outcomes() == [DONE] * 20


@pytest.mark.asyncio
async def test_a_crash_delivers_again_with_one_more_attempt_and_tells_once() -> None:
    topology, source, sink = Topology(), Told(12), KeepMessages(KeyError("1"), KeyError("2"))
    topology.add("source", lambda: source)
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("source", 8, 4))
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_fine
    assert sink.data == list(range(1, 13))
    assert sink.attempts == [3] + [2] * 3 + [1] * 8  # again one at a time, so that a crash hits one event
    assert source.outcomes() == [DONE] * 12
    stage = topology.snapshot().stages[1]
    assert (stage.redelivered, stage.discarded["crash"], stage.events_received) == (5, 0, 12)
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_a_per_event_stage_that_crashes_in_mid_batch_tells_once() -> None:
    failures: list[BaseException] = [KeyError("once")]

    def crashes_once(number: int) -> Sequence[object]:
        if number == 3 and failures:
            raise failures.pop()
        return [number]

    topology, source, sink = Topology(), Told(8), KeepMessages()
    topology.add("source", lambda: source)
    topology.add("each", lambda: Each(crashes_once), subscribe_to=SubscribeTo("source", 4, 0))
    topology.add("sink", lambda: sink, subscribe_to="each")
    await topology.start()
    assert (await topology.join()).is_fine
    assert sink.data == list(range(1, 9))
    assert source.outcomes() == [DONE] * 8


@pytest.mark.asyncio
async def test_a_poisoned_message_ends_the_run_and_all_that_was_under_way_failed() -> None:
    topology, source = Topology(), Told(None)
    topology.add("source", lambda: source)
    topology.add("pass", lambda: Derive(_itself), subscribe_to=SubscribeTo("source", 4))
    topology.add("sink", lambda: KeepMessages(KeyError("always")), subscribe_to=SubscribeTo("pass", 4))
    await topology.start()
    outcome = await topology.join()
    assert isinstance(outcome.reason, RestartsExhausted)
    assert set(source.outcomes()) == {FAILED}
    assert (outcome.events_failed, outcome.events_lost) == (1, source.emitted - 1)  # one alone had its three crashes
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_plain_events_that_meet_messages_are_messages_that_nobody_waits_for() -> None:
    topology, source, sink = Topology(), Told(6), KeepMessages(KeyError("once"))
    topology.add("source", lambda: source)
    topology.add("plain", lambda: Numbers(6))
    topology.add("merged", lambda: Derive(_itself), subscribe_to=["source", "plain"])
    topology.add("sink", lambda: sink, subscribe_to="merged")
    await topology.start()
    assert (await topology.join()).is_fine
    assert sorted(int(str(data)) for data in sink.data) == sorted([*range(1, 7), *range(1, 7)])
    assert source.outcomes() == [DONE] * 6


class _Burst(Told):
    """Emits all at once, whatever was asked."""

    def handle_demand(self, demand: int) -> list[AnyMessage]:
        return super().handle_demand(10)


@pytest.mark.asyncio
async def test_what_overflows_a_buffer_has_failed() -> None:
    topology, source, sink = Topology(), _Burst(10), KeepMessages()
    topology.add("source", lambda: source, settings=StageSettings(buffer_size=3))
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("source", 2, 0))
    await topology.start()
    outcome = await topology.join()
    assert outcome.events_lost == 5
    assert sink.data == [1, 2, 8, 9, 10]
    assert source.outcomes() == [DONE] * 2 + [FAILED] * 5 + [DONE] * 3


@pytest.mark.asyncio
@pytest.mark.parametrize("dispatcher", ["demand", "broadcast"])
async def test_what_is_stopped_has_failed(dispatcher: str) -> None:
    class Waits(KeepMessages):
        async def handle_events(self, events: list[AnyMessage]) -> None:  # type: ignore[override] # either form is allowed
            await asyncio.Event().wait()

    topology, source = Topology(), Told(None)
    topology.add("source", lambda: source, settings=StageSettings(dispatcher=dispatcher))
    topology.add("waits", Waits, subscribe_to=SubscribeTo("source", 8))
    topology.add("waits too", Waits, subscribe_to=SubscribeTo("source", 8))
    await topology.start()
    await settled(topology)
    assert source.told == {}
    await topology.stop()
    assert set(source.outcomes()) == {FAILED}
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_what_a_consumer_that_ended_for_good_had_in_hand_goes_to_another() -> None:
    topology, source, sink = Topology(), Told(20), KeepMessages()
    topology.add("source", lambda: source)
    once = StageSettings(restart="temporary")
    topology.add("dies", lambda: KeepMessages(KeyError("dies")), subscribe_to=SubscribeTo("source", 8), settings=once)
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("source", 8))
    await topology.start()
    outcome = await topology.join()
    assert outcome.events_lost == 0
    assert sorted(int(str(data)) for data in sink.data) == list(range(1, 21))
    assert sorted(sink.attempts) == [1] * 16 + [2] * 4
    assert source.outcomes() == [DONE] * 20


@pytest.mark.asyncio
async def test_what_was_broadcast_to_a_consumer_that_ended_for_good_has_failed() -> None:
    topology, source, sink = Topology(), Told(20), KeepMessages()
    topology.add("source", lambda: source, settings=BROADCAST)
    once = StageSettings(restart="temporary")
    topology.add("dies", lambda: KeepMessages(KeyError("dies")), subscribe_to=SubscribeTo("source", 8), settings=once)
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("source", 8))
    await topology.start()
    outcome = await topology.join()
    assert sink.data == list(range(1, 21))
    assert source.outcomes() == [FAILED] * 8 + [DONE] * 12
    assert outcome.events_lost == 8


@pytest.mark.asyncio
async def test_a_reader_sees_data_and_is_done_with_what_it_read() -> None:
    topology, source = Topology(), Told(30)
    handle = topology.add("source", lambda: source)
    await topology.start()
    async with aclosing(handle.stream(10)) as events:
        assert [await anext(events) for _ in range(7)] == list(range(1, 8))
        assert source.told == {number: [DONE] for number in range(1, 7)}
    assert source.told == {number: [DONE] for number in range(1, 7)}
    assert [event async for event in handle.stream(4)] == list(range(7, 31))  # the next one was not asked for
    assert (await topology.join()).is_fine
    assert source.outcomes() == [DONE] * 30


class _Pushes(ProducerConsumer[AnyMessage, AnyMessage]):
    """Emits what it derives by pushing it, at once or at the end."""

    takes_messages = True

    def __init__(self, *, is_late: bool) -> None:
        self.is_late = is_late
        self.kept: list[AnyMessage] = []

    def handle_events(self, events: list[AnyMessage]) -> list[AnyMessage]:
        derived = [event.derive(-event.data) for event in events]
        if self.is_late:
            self.kept += derived
        else:
            self.emit_nowait(derived)
        return []

    def handle_complete(self) -> list[AnyMessage]:
        return self.kept


@pytest.mark.asyncio
async def test_what_is_pushed_while_its_parent_lives_holds_it_back() -> None:
    topology, source, sink = Topology(), Told(6), KeepMessages()
    topology.add("source", lambda: source)
    topology.add("pushes", lambda: _Pushes(is_late=False), subscribe_to=SubscribeTo("source", 4))
    topology.add("fails", lambda: Each(_fails_on_thirds), subscribe_to=SubscribeTo("pushes", 2))
    topology.add("sink", lambda: sink, subscribe_to="fails")
    await topology.start()
    assert (await topology.join()).events_failed == 2
    assert source.outcomes() == [DONE, DONE, FAILED, DONE, DONE, FAILED]


@pytest.mark.asyncio
@pytest.mark.parametrize("stage", ["source", "each"])
async def test_a_message_from_outside_is_told_once_wherever_it_comes_in(stage: str) -> None:
    topology, sink, told = Topology(), KeepMessages(), Told(2)
    topology.add("source", lambda: Told(None))
    topology.add("each", lambda: Each(_itself), subscribe_to="source")
    topology.add("sink", lambda: sink, subscribe_to="each")
    await topology.start()
    handle = topology.stage(stage)
    await handle.emit([told.message(1), "plain"])
    handle.emit_nowait([told.message(2)])
    await until(lambda: len(told.told) == 2)
    told.emitted = 2
    assert told.outcomes() == [DONE, DONE]
    await topology.stop()


@pytest.mark.asyncio
async def test_what_is_emitted_after_its_parent_was_told_does_not_make_it_told_again() -> None:
    topology, source, sink = Topology(), Told(6), KeepMessages()
    topology.add("source", lambda: source)
    topology.add("pushes", lambda: _Pushes(is_late=True), subscribe_to=SubscribeTo("source", 4))
    topology.add("sink", lambda: sink, subscribe_to="pushes")
    await topology.start()
    assert (await topology.join()).is_fine
    assert sink.data == [-1, -2, -3, -4, -5, -6]
    assert source.outcomes() == [DONE] * 6


@pytest.mark.asyncio
async def test_a_consumer_that_returns_events_is_refused_on_messages_too() -> None:
    class Returns(Consumer[AnyMessage]):
        def handle_events(self, events: list[AnyMessage]) -> None:
            return events  # type: ignore[return-value] # the mistake under test

    topology, source = Topology(), Told(6)
    topology.add("source", lambda: source)
    topology.add("returns", Returns, subscribe_to="source")
    await topology.start()
    reason = (await topology.join()).reason
    assert isinstance(reason, RestartsExhausted)
    assert isinstance(reason.reason, BadReturn)
    assert source.outcomes() == [FAILED] * 6


@pytest.mark.asyncio
async def test_an_async_batch_that_is_cancelled_before_it_began_leaves_no_coroutine_behind() -> None:
    class Waits(Consumer[AnyMessage]):
        async def handle_events(self, events: list[AnyMessage]) -> None:
            await asyncio.Event().wait()

    topology, source = Topology(), Told(None)
    topology.add("source", lambda: source)
    topology.add("waits", Waits, subscribe_to=SubscribeTo("source", 8))
    await topology.start()
    process = run_of(topology).processes["waits"]
    await until(lambda: process.is_busy)
    await topology.stop()
    assert set(source.outcomes()) == {FAILED}
