"""What becomes of events that fail: tried again, set aside or discarded, on plain edges and where messages flow."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headrace.errors import GraphError, HandlerTimeout, PoisonEvent, RestartsExhausted
from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import (
    Aside,
    Gather,
    Kept,
    Many,
    OneToOne,
    OneToOneLater,
    Single,
    SingleLater,
    Table,
    Whole,
    WholeLater,
)
from tests.fakes.flow_stages import Numbers
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, until

pytestmark = pytest.mark.asyncio

DONE, DEAD_LETTERED, FAILED = Outcome.DONE, Outcome.DEAD_LETTERED, Outcome.FAILED
AT_ONCE = Retry(3, backoff_seconds=0.0)
SHAPES = [OneToOne, OneToOneLater, Many, Single, SingleLater, Whole, WholeLater]
EDGES = pytest.mark.parametrize("source", [Numbers, Told])
EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES)


def outputs(shape: type[OneToOne], numbers: list[int]) -> list[str]:
    if shape is Many:
        return [f"<{number}>" for number in numbers if number % 4 for _ in range(2)]
    return [f"<{number}>" for number in numbers]


class Path:
    """A source of the numbers 1 to 20, one stage in the middle, and a sink."""

    def __init__(
        self, source: Callable[[int], Producer[Any]], middle: Callable[[], ProducerConsumer[Any, Any]], **settings: Any
    ) -> None:
        self.topology = Topology()
        self.source, self.sink = source(20), Kept()
        self.topology.add("source", lambda: self.source)
        said = StageSettings(**settings)
        self.topology.add("middle", middle, subscribe_to=SubscribeTo("source", 10, 5), settings=said)
        self.topology.add("sink", lambda: self.sink, subscribe_to="middle")

    async def run(self) -> RunOutcome:
        await self.topology.start()
        outcome = await self.topology.join()
        check_end(run_of(self.topology))
        return outcome

    def middle(self) -> Any:
        return self.topology.snapshot().stages[1]

    def outcomes(self, default: Outcome, **other: list[int]) -> None:
        """Check what the source was told: `default`, but where `failed` or `aside` names numbers."""
        if isinstance(self.source, Told):
            by_name = {"failed": FAILED, "aside": DEAD_LETTERED}
            told = {number: by_name[name] for name, numbers in other.items() for number in numbers}
            assert self.source.outcomes() == [told.get(number, default) for number in range(1, 21)]


@EDGES
@EACH_SHAPE
async def test_what_fails_is_tried_again_until_it_goes_through(source: Any, shape: type[OneToOne]) -> None:
    table = Table({3: 1, 7: 2, 8: 1})
    path = Path(source, lambda: shape(table), retry=AT_ONCE)
    outcome = await path.run()
    assert outcome.is_fine
    assert Counter(path.sink.data) == Counter(outputs(shape, list(range(1, 21))))
    assert Counter(table.tried) == Counter([*range(1, 21), 3, 7, 7, 8])
    assert path.middle().redelivered == 4
    path.outcomes(DONE)


@EDGES
@pytest.mark.parametrize("shape", SHAPES[:5])
async def test_outputs_keep_the_order_of_their_events_whatever_is_tried_again(
    source: Any, shape: type[OneToOne]
) -> None:
    path = Path(source, lambda: shape(Table({1: 1, 4: 2, 20: 1})), retry=AT_ONCE)
    await path.run()
    assert path.sink.data == outputs(shape, list(range(1, 21)))


@EDGES
@EACH_SHAPE
async def test_what_still_fails_fails_alone(source: Any, shape: type[OneToOne]) -> None:
    table = Table({3: -1, 7: 2, 8: -1})
    path = Path(source, lambda: shape(table), retry=AT_ONCE)
    outcome = await path.run()
    assert (outcome.is_completed, outcome.events_failed) == (True, 2)
    rest = [number for number in range(1, 21) if number not in {3, 8}]
    assert Counter(path.sink.data) == Counter(outputs(shape, rest))
    assert Counter(table.tried)[3] == 3
    assert path.middle().discarded["error"] == 2
    path.outcomes(DONE, failed=[3, 8])


@EDGES
@EACH_SHAPE
@pytest.mark.parametrize("retry", [None, AT_ONCE])
async def test_what_is_given_up_is_set_aside_and_is_no_failure_of_the_run(
    source: Any, shape: type[OneToOne], retry: Retry | None
) -> None:
    aside = Aside()
    path = Path(source, lambda: shape(Table({3: -1, 8: -1})), retry=retry)
    path.topology.dead_letter_handler = aside
    assert (await path.run()).is_fine
    assert [(one.stage, one.data, one.attempts) for one in aside.kept] == [
        ("middle", number, 3 if retry else 1) for number in (3, 8)
    ]
    assert "ValueError: 3" in aside.kept[0].trace()
    stage = path.middle()
    assert (stage.dead_lettered, stage.discarded["dead_lettered"], stage.errors) == (2, 2, {"ValueError": 2})
    path.outcomes(DONE, aside=[3, 8])


@EDGES
async def test_a_store_that_takes_no_dead_letter_fails_the_events_and_says_why(
    source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(source, lambda: OneToOne(Table({3: -1})))
    path.topology.dead_letter_handler = Aside(OSError("the disk is full"))
    outcome = await path.run()
    assert outcome.events_failed == 1
    assert (
        "stage 'middle' cannot set 1 events aside (later ones are counted as failed, not logged): the disk is full"
        in caplog.text
    )
    path.outcomes(DONE, failed=[3])


async def test_a_stage_may_do_without_dead_letters() -> None:
    aside = Aside()
    path = Path(Told, lambda: OneToOne(Table({3: -1})), dead_letters=False)
    path.topology.dead_letter_handler = aside
    assert (await path.run()).events_failed == 1
    assert aside.kept == []


@EDGES
async def test_only_errors_of_the_named_classes_are_tried_again(source: Any) -> None:
    table = Table({3: 1, 8: 1})
    path = Path(source, lambda: Single(table), retry=Retry(5, 0.0, not_on=(ValueError,)))
    assert (await path.run()).events_failed == 2
    assert Counter(table.tried) == Counter(range(1, 21))


@EDGES
async def test_a_batch_that_raises_is_tried_again_as_a_whole_and_brings_nothing_down(source: Any) -> None:
    errors: list[Exception] = [KeyError("one"), KeyError("two")]
    batches: list[int] = []

    class Raises(Whole):
        def handle_events(self, events: list[Any]) -> Any:
            batches.append(len(events))
            if errors:
                raise errors.pop(0)
            return super().handle_events(events)

    path = Path(source, lambda: Raises(Table({})), retry=AT_ONCE)
    assert (await path.run()).is_fine
    assert batches[:3] == [batches[0]] * 3
    assert (path.middle().restarts, len(path.sink.data)) == (0, 20)
    path.outcomes(DONE)


async def test_without_a_retry_what_a_class_raises_is_a_crash() -> None:
    table = Table({3: 1})
    path = Path(Told, lambda: Single(table))
    await path.run()
    assert path.middle().restarts == 1
    path.outcomes(DONE)


@EDGES
async def test_a_sink_tries_again_too(source: Any) -> None:
    table = Table({3: 2, 8: -1})

    class Sink(Consumer[Any]):
        per_event = True

        def handle_events(self, events: list[Any]) -> None:
            for event in events:
                table(event)

    topology, origin = Topology(), source(20)
    topology.add("source", lambda: origin)
    topology.add("sink", Sink, subscribe_to="source", settings=StageSettings(retry=AT_ONCE))
    await topology.start()
    assert (await topology.join()).events_failed == 1
    assert Counter(table.tried) == Counter([*range(1, 21), 3, 3, 8, 8])
    if isinstance(origin, Told):
        assert origin.outcomes() == [FAILED if number == 8 else DONE for number in range(1, 21)]


@EDGES
@pytest.mark.parametrize("shape", [OneToOneLater, SingleLater])
async def test_an_event_that_takes_too_long_fails_alone(source: Any, shape: type[OneToOne]) -> None:
    class Hangs(Table):
        async def later(self, event: Any) -> str:
            return await self._hang(event)

        async def _hang(self, event: Any) -> str:
            if event == 3:
                await asyncio.Event().wait()
            return self(event)

    table, aside = Hangs({}), Aside()

    class HangsSingly(SingleLater):
        async def handle_events(self, events: list[Any]) -> list[str]:
            return [await table.later(events[0])]

    middle = HangsSingly if shape is SingleLater else shape
    path = Path(source, lambda: middle(table), timeout_seconds=0.01)
    path.topology.dead_letter_handler = aside
    assert (await path.run()).is_fine
    (kept,) = aside.kept
    assert (kept.data, type(kept.error)) == (3, HandlerTimeout)
    assert "took longer than 0.01 s" in str(kept.error)
    path.outcomes(DONE, aside=[3])


async def test_a_time_out_of_the_callbacks_own_is_an_error_as_any_other() -> None:
    class Own(SingleLater):
        async def handle_events(self, events: list[Any]) -> list[str]:
            if events == [3]:
                raise TimeoutError
            return [str(events[0])]

    path, aside = Path(Told, lambda: Own(Table({})), timeout_seconds=60.0), Aside()
    path.topology.dead_letter_handler = aside
    await path.run()
    assert [type(one.error) for one in aside.kept] == [TimeoutError]


async def test_a_message_that_brings_its_stage_down_is_given_up_and_no_other() -> None:
    aside, crashes = Aside(), []

    class Crashes(Whole):
        def handle_events(self, events: list[Any]) -> Any:
            if any(event.data == 3 for event in events):
                crashes.append([event.data for event in events])
                raise RuntimeError("poison")
            return super().handle_events(events)

    path = Path(Told, lambda: Crashes(Table({})), max_deliveries=2)
    outcome = await path.run()
    assert (outcome.is_completed, outcome.events_failed, path.middle().restarts) == (True, 1, 2)
    assert crashes == [[1, 2, 3, 4, 5], [3]]
    assert len(path.sink.data) == 19
    path.outcomes(DONE, failed=[3])
    assert aside.kept == []


async def test_a_poisonous_message_is_set_aside_where_there_is_a_place_for_it() -> None:
    class Cancels(SingleLater):
        async def handle_events(self, events: list[Any]) -> list[str]:
            if events == [3]:
                raise asyncio.CancelledError
            return [str(events[0])]

    aside = Aside()
    path = Path(Told, lambda: Cancels(Table({})), max_deliveries=2, retry=AT_ONCE)
    path.topology.dead_letter_handler = aside
    assert (await path.run()).is_fine
    (kept,) = aside.kept
    assert (kept.data, type(kept.error), kept.attempts) == (3, PoisonEvent, 3)
    path.outcomes(DONE, aside=[3])


async def test_a_stage_that_always_crashes_ends_the_run_all_the_same() -> None:
    class Down(Whole):
        def handle_events(self, events: list[Any]) -> Any:
            raise RuntimeError

    path = Path(Told, lambda: Down(Table({})))
    outcome = await path.run()
    assert isinstance(outcome.reason, RestartsExhausted)
    assert isinstance(path.source, Told)
    assert set(path.source.outcomes()) == {FAILED}


@EDGES
@pytest.mark.parametrize("size", [1, 3, 7, 20, 50])
async def test_what_is_gathered_is_done_when_what_was_made_of_it_is(source: Any, size: int) -> None:
    path = Path(source, lambda: Gather(size))
    assert (await path.run()).is_fine
    assert path.sink.data == [list(range(first, min(first + size, 21))) for first in range(1, 21, size)]
    path.outcomes(DONE)


async def test_held_messages_are_not_told_before_what_was_made_of_them_is() -> None:
    path = Path(Told, lambda: Gather(7))
    source, sink = path.source, path.sink
    assert isinstance(source, Told)
    heard: list[int] = []
    handle = sink.handle_events

    def look(events: list[Any]) -> None:
        heard.append(len(source.told))
        handle(events)

    sink.handle_events = look  # type: ignore[method-assign] # a look at what is known by then
    await path.run()
    assert all(count <= 7 * at for at, count in enumerate(heard))
    path.outcomes(DONE)


async def test_a_gatherer_that_crashes_gets_again_what_it_held() -> None:
    lives = iter([Gather(7, KeyError("one")), Gather(7, KeyError("two"))])

    def middle() -> Gather:
        return next(lives, Gather(7))

    path = Path(Told, middle)
    outcome = await path.run()
    assert outcome.is_fine
    gathered = [number for batch in path.sink.data for number in batch]  # type: ignore[attr-defined] # lists
    assert sorted(gathered) == list(range(1, 21))
    assert path.middle().redelivered > 0
    path.outcomes(DONE)


async def test_a_gatherer_that_never_releases_ends_its_events_as_failed_with_the_run() -> None:
    class Keeps(Gather):
        def handle_complete(self) -> list[object]:
            return []

    path = Path(Told, lambda: Keeps(50))
    await path.topology.start()
    outcome = await path.topology.join()
    assert outcome.events_lost == 20
    path.outcomes(FAILED)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"retry": 3}, "has a retry of 3: it must be a Retry, or None"),
        ({"retry": Retry(0)}, "has a retry of 0 attempts: it must be a whole number, 1 or more"),
        ({"timeout_seconds": 0}, "has a timeout_seconds of 0: it must be a number of seconds above 0, or None"),
        ({"timeout_seconds": "5s"}, "has a timeout_seconds of '5s': it must be a number of seconds above 0, or None"),
        ({"max_deliveries": 0}, "has max_deliveries of 0: it must be a whole number, 1 or more"),
    ],
)
async def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GraphError, match=sentence):
        Path(Told, lambda: OneToOne(Table({})), **settings)


@pytest.mark.parametrize("retry", [None, AT_ONCE])
async def test_a_stage_that_returns_other_than_it_says_is_a_crash(
    retry: Retry | None, caplog: pytest.LogCaptureFixture
) -> None:
    class Forgets(OneToOne):
        def handle_events(self, events: list[Any]) -> Any:
            return [str(event) for event in events[1:]]

    path = Path(Told, lambda: Forgets(Table({})), retry=retry)
    outcome = await path.run()
    assert isinstance(outcome.reason, RestartsExhausted)
    assert "must return one output for each event that did not fail" in caplog.text
    assert isinstance(path.source, Told)
    assert set(path.source.outcomes()) == {FAILED}


async def test_events_wait_for_the_awaited_try_to_end_in_their_order() -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Waits(SingleLater):
        async def handle_events(self, events: list[Any]) -> list[str]:
            if events == [2]:
                await gate
            return [str(events[0])]

    path = Path(Told, lambda: Waits(Table({})), retry=AT_ONCE)
    await path.topology.start()
    released: Awaitable[RunOutcome] = path.topology.join()
    asyncio.get_running_loop().call_soon(gate.set_result, None)
    assert (await released).is_fine
    assert path.sink.data == [str(number) for number in range(1, 21)]


async def test_what_a_crash_has_in_hand_is_set_aside_where_there_is_a_place_for_it() -> None:
    aside, crashes = Aside(), [asyncio.CancelledError()]

    class Crashes(Kept):
        def handle_events(self, events: list[Any]) -> None:
            if crashes:
                raise crashes.pop()
            super().handle_events(events)

    topology = Topology()
    topology.dead_letter_handler = aside
    topology.add("source", lambda: Numbers(20))
    topology.add("sink", Crashes, subscribe_to=SubscribeTo("source", 10, 5))
    await topology.start()
    outcome = await topology.join()
    assert (outcome.is_completed, outcome.events_lost, outcome.events_kept) == (True, 5, 5)
    assert [one.data for one in aside.kept] == [1, 2, 3, 4, 5]
    assert "crashed while it handled the event: replay it" in str(aside.kept[0].error)
    assert topology.snapshot().stages[1].dead_lettered == 5


@EDGES
async def test_what_a_drain_has_no_time_for_is_set_aside_or_told_as_failed(source: Any) -> None:
    aside = Aside()

    class Hangs(Kept):
        async def handle_events(self, events: list[Any]) -> None:  # type: ignore[override] # either form is allowed
            await asyncio.Event().wait()

    topology, origin = Topology(), source(20)
    topology.dead_letter_handler = aside
    topology.add("source", lambda: origin)
    topology.add("sink", Hangs, subscribe_to="source", settings=StageSettings(shutdown_seconds=0.0))
    await topology.start()
    await until(lambda: topology.snapshot().stages[1].in_flight_events == 20)
    outcome = await topology.drain(0.01)
    assert not outcome.is_fine
    assert outcome.events_lost == 20
    if isinstance(origin, Told):
        assert (origin.outcomes(), aside.kept) == ([FAILED] * 20, [])
    else:
        assert [one.data for one in aside.kept] == list(range(1, 21))
        assert "did not handle it before the run ended: replay it" in str(aside.kept[0].error)


async def test_left_over_events_that_no_store_takes_are_said(caplog: pytest.LogCaptureFixture) -> None:
    crashes = [asyncio.CancelledError()]

    class Crashes(Kept):
        def handle_events(self, events: list[Any]) -> None:
            if crashes:
                raise crashes.pop()

    topology = Topology()
    topology.dead_letter_handler = Aside(OSError("full"))
    topology.add("source", lambda: Numbers(20))
    topology.add("sink", Crashes, subscribe_to=SubscribeTo("source", 10, 5))
    await topology.start()
    outcome = await topology.join()
    assert (outcome.events_lost, outcome.events_kept) == (5, 0)
    assert "5 undelivered events could not be stored: full" in caplog.text
