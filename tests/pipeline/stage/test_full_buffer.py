"""A full buffer: whoever feeds the stage waits, or is told, or the oldest or newest go, as it was said."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import BufferFull
from headrace.pipeline.demand.buffer import KeepPolicy
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.producer import Inbox, Producer
from headrace.pipeline.stage.settings import StageSettings, event_size
from headrace.pipeline.testing import TestSource
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Gated, Silent
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled, until

SIZE = event_size(1)


class Feed(Producer[int]):
    """Emits whole numbers below 100 by itself, three at a time, until it has to wait, and goes on when it need not."""

    def __init__(self) -> None:
        self.left = list(range(100))

    def init(self) -> None:
        self.feed()

    def feed(self) -> None:
        while self.left and not self.is_full():
            piece, self.left = self.left[:3], self.left[3:]
            self.emit_nowait(piece)
        if not self.left:
            self.complete()

    def handle_room(self) -> None:
        self.feed()

    def handle_demand(self, demand: int) -> list[int]:
        return []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "settings",
    [
        StageSettings(buffer_size=7, buffer_keep="all"),
        StageSettings(buffer_bytes=7 * SIZE, buffer_keep="all"),
    ],
)
async def test_a_stage_that_feeds_itself_waits_while_its_buffer_is_full(settings: StageSettings) -> None:
    topology, collect = Topology(), Collect()
    topology.add("feed", Feed, settings=settings)
    topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    await settled(topology)
    feed = topology.stage("feed")
    assert feed.estimate_buffered_count() == 9  # two pieces left room for one, and the third went beyond
    topology.stage("collect").subscribe(SubscribeTo("feed", max_demand=4))
    outcome = await topology.join()
    assert outcome.is_fine
    assert collect.events == list(range(100))
    assert sum(topology.snapshot().stages[0].discarded.values()) == 0
    check_end(run_of(topology))


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["change", "cancel", "accumulate"])
async def test_a_stage_that_waits_goes_on_although_less_is_asked_of_it_than_before(how: str) -> None:
    """What was asked for and taken back again counted as owed: `handle_demand` was not called for ever."""
    topology, silent, gated = Topology(), Silent(), Gated()
    fed: list[int] = []
    silent.handle_room = lambda: fed.append(1)  # type: ignore[method-assign] # a callback that is looked for
    topology.add("silent", lambda: silent, settings=StageSettings(buffer_size=2, buffer_keep="all"))
    topology.add("gated", lambda: gated, subscribe_to=None)
    await topology.start()
    handle = topology.stage("silent")
    first = topology.stage("gated").subscribe(SubscribeTo("silent", max_demand=1000, min_demand=999))
    await settled(topology)
    if how == "change":
        first.change(2, 1)
    elif how == "cancel":
        first.cancel()
    else:
        handle.demand("accumulate")
    await settled(topology)
    while not silent.is_full():
        silent.emit_nowait([0])
        await settled(topology)
    assert fed == []
    gated.gate.set()
    if how == "cancel":
        topology.stage("gated").subscribe(SubscribeTo("silent", max_demand=2))
    elif how == "accumulate":
        handle.demand("forward")
    await until(lambda: fed == [1])
    assert not silent.is_full()
    await topology.drain()
    assert fed == [1]


@pytest.mark.asyncio
async def test_in_a_drain_a_full_buffer_takes_what_has_come() -> None:
    topology, silent, collect = Topology(), Silent(), Collect()
    silent.handle_drain = lambda: silent.emit_nowait([3, 4])  # type: ignore[method-assign] # a callback that is looked for
    topology.add("silent", lambda: silent, settings=StageSettings(buffer_size=2, buffer_keep="all"))
    topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    silent.emit_nowait([1, 2])
    assert silent.is_full()
    topology.stage("collect").pause()
    topology.stage("collect").subscribe(SubscribeTo("silent", max_demand=1))
    assert (await topology.drain()).is_fine
    assert collect.events == [1, 2, 3, 4]


@pytest.mark.asyncio
async def test_what_comes_from_outside_leaves_the_stage_what_it_owes() -> None:
    topology, silent, collect = Topology(), Silent(), Collect()
    topology.add("silent", lambda: silent, settings=StageSettings(buffer_size=4, buffer_keep="all"))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("silent", max_demand=3, min_demand=0))
    await topology.start()
    await settled(topology)
    handle = topology.stage("silent")
    handle.pause()
    topology.stage("collect").pause()
    handle.emit_nowait([1, 2])  # into the demand that it was told of, and still owes
    handle.emit_nowait([3, 4, 5, 6])
    handle.emit_nowait([7])
    assert silent.demands == [3]
    with pytest.raises(BufferFull):
        handle.emit_nowait([8])
    silent.emit_nowait([10, 11, 12])
    with pytest.raises(BufferFull):
        silent.emit_nowait([13])
    assert (await topology.drain()).is_fine
    assert sorted(collect.events) == [1, 2, 3, 4, 5, 6, 7, 10, 11, 12]  # type: ignore[type-var] # numbers


@pytest.mark.asyncio
async def test_a_resize_says_anew_who_waits() -> None:
    topology = Topology()
    topology.add("door", Inbox, settings=StageSettings(buffer_size=2, buffer_keep="last"))
    await topology.start()
    door = topology.stage("door")
    await door.emit(range(9))
    door.resize(2, "all")
    with pytest.raises(BufferFull):
        door.emit_nowait([9])
    late = asyncio.ensure_future(door.emit([9]))
    await settled(topology)
    assert not late.done()
    door.resize(2, "last")
    await late
    await door.emit(range(9))
    assert door.estimate_buffered_count() == 2


@pytest.mark.asyncio
async def test_a_stage_that_does_not_look_is_told_and_nothing_of_it_is_taken() -> None:
    topology, silent = Topology(), Silent()
    topology.add("silent", lambda: silent, settings=StageSettings(buffer_size=2, buffer_keep="all"))
    await topology.start()
    silent.emit_nowait([1])
    assert not silent.is_full()
    silent.emit_nowait([2, 3, 4])  # as long as there is any room
    assert silent.is_full()
    with pytest.raises(BufferFull, match=r"no room .* check `is_full\(\)` before you emit"):
        silent.emit_nowait([5])
    silent.emit_nowait([])
    assert topology.stage("silent").estimate_buffered_count() == 4
    await topology.drain()


@pytest.mark.asyncio
async def test_what_was_asked_for_may_be_emitted_after_the_asker_has_gone() -> None:
    topology, silent, collect = Topology(), Silent(), Collect()
    topology.add("silent", lambda: silent, settings=StageSettings(buffer_size=0, buffer_keep="all"))
    topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    subscription = topology.stage("collect").subscribe(SubscribeTo("silent", max_demand=3))
    await settled(topology)
    subscription.cancel()
    await settled(topology)
    assert silent.demands == [3]
    silent.emit_nowait([1, 2, 3])
    with pytest.raises(BufferFull):
        silent.emit_nowait([4])
    topology.stage("collect").subscribe("silent")
    assert (await topology.drain()).is_fine
    assert collect.events == [1, 2, 3]


class Returning(Silent):
    """Emits what it is called with."""

    def handle_info(self, message: object) -> list[object]:
        return [message]


@pytest.mark.asyncio
async def test_what_a_callback_returns_beyond_the_bound_is_a_crash_that_says_so() -> None:
    topology = Topology()
    topology.add("one", Returning, settings=StageSettings(buffer_size=1, buffer_keep="all", restart="temporary"))
    await topology.start()
    for number in (1, 2):
        topology.stage("one").ref.info(number)
    outcome = await topology.join()
    assert not outcome.is_fine
    (stage,) = topology.snapshot().stages
    assert stage.errors == {"BufferFull": 1}
    assert str(stage.error).startswith("BufferFull: stage 'one' has no room for the events (it buffers 1)")


@pytest.mark.asyncio
@pytest.mark.parametrize(("keep", "left"), [("first", [1, 2, 3]), ("last", [5, 6, 7])])
async def test_a_door_that_is_to_drop_lets_everything_in(keep: KeepPolicy, left: list[int]) -> None:
    topology, collect = Topology(), Collect()
    topology.add("door", Inbox, settings=StageSettings(buffer_size=3, buffer_keep=keep))
    topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    door = topology.stage("door")
    await door.emit([1, 2])
    door.emit_nowait([3, 4, 5])
    await door.emit([6, 7])
    assert topology.snapshot().stages[0].discarded["overflow"] == 4
    topology.stage("collect").subscribe("door")
    await topology.drain()
    assert collect.events == left


@pytest.mark.asyncio
async def test_a_door_that_is_to_fail_tells_whoever_would_wait() -> None:
    topology = Topology()
    topology.add("door", Inbox, settings=StageSettings(buffer_size=3, overflow_fails=True))
    await topology.start()
    door = topology.stage("door")
    await door.emit([1, 2])
    for emit in (door.emit([3, 4]), asyncio.wrap_future(topology.emit_threadsafe("door", [3, 4]))):
        with pytest.raises(BufferFull):
            await emit
    with pytest.raises(BufferFull):
        door.emit_nowait([3, 4])
    await door.emit([3])
    assert door.estimate_buffered_count() == 3
    assert topology.snapshot().stages[0].events_failed == 0  # nothing of it was taken


@pytest.mark.asyncio
async def test_what_a_stage_emits_beyond_a_buffer_that_is_to_fail_has_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    topology, silent, told = Topology(), Silent(), list[Outcome]()
    silent.emits_messages = True
    topology.add("silent", lambda: silent, settings=StageSettings(buffer_size=2, overflow_fails=True))
    await topology.start()
    silent.emit_nowait([Message(number, acknowledgement=Acknowledgement(told.append)) for number in range(5)])
    assert told == [Outcome.FAILED] * 3
    (stage,) = topology.snapshot().stages
    assert (stage.events_failed, stage.discarded["error"], stage.discarded["overflow"]) == (3, 3, 0)
    assert stage.errors == {"BufferOverflow": 1}
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said.startswith("stage 'silent' discards an event (later ones that fail alike are counted, not logged):")
    assert "the buffer of stage 'silent' is full: speed up its consumers" in said
    assert not (await topology.drain()).is_fine


@pytest.mark.asyncio
async def test_messages_that_are_dropped_have_failed() -> None:
    topology, told = Topology(), list[Outcome]()
    topology.add("door", TestSource, settings=StageSettings(buffer_size=1, buffer_keep="last"))
    await topology.start()
    messages = [Message(number, acknowledgement=Acknowledgement(told.append)) for number in range(3)]
    await topology.stage("door").emit(messages)
    assert told == [Outcome.FAILED] * 2


@pytest.mark.asyncio
async def test_the_bytes_of_a_buffer_are_counted_as_they_come_and_go() -> None:
    topology, collect = Topology(), Collect()
    topology.add("door", Inbox, settings=StageSettings(buffer_bytes=3 * SIZE, buffer_keep="first"))
    topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    await topology.stage("door").emit([1, 2, "x" * 100, 3])
    assert topology.snapshot().stages[0].buffer_bytes == 2 * SIZE
    topology.stage("collect").subscribe("door")
    await settled(topology)
    assert topology.snapshot().stages[0].buffer_bytes == 0
    assert collect.events == [1, 2]
    assert topology.snapshot().stages[1].buffer_bytes is None
    await topology.drain()


@pytest.mark.asyncio
async def test_whoever_emits_waits_for_bytes_as_well() -> None:
    topology, collect = Topology(), Collect()
    topology.add("door", Inbox, settings=StageSettings(buffer_bytes=2 * SIZE))
    topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    door = topology.stage("door")
    await door.emit([1, 2])
    late = asyncio.ensure_future(door.emit([3]))
    await settled(topology)
    assert not late.done()
    topology.stage("collect").subscribe(SubscribeTo("door", max_demand=1))
    await late
    assert (await topology.drain()).is_fine
    assert collect.events == [1, 2, 3]


@given(st.recursive(st.one_of(st.none(), st.integers(), st.text()), st.lists, max_leaves=20))
def test_an_event_takes_more_than_its_text(event: object) -> None:
    assert event_size([event]) == event_size(event) + 2
    assert event_size(Message(event)) == event_size(event)
    assert event_size(event) > 32


def test_what_is_no_json_has_a_size_too() -> None:
    ring: list[object] = []
    ring.append(ring)
    for event in (object(), {1: 2}, {(1, 2): 3}, ring, "\ud800", b"\xff"):
        assert event_size(event) > 32


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "1MB"])
def test_a_bound_in_bytes_that_cannot_be_is_refused(wrong: object) -> None:
    faults = list(StageSettings(buffer_bytes=wrong).problems())  # type: ignore[arg-type] # wrong values
    assert faults == [f"has buffer_bytes of {wrong!r}: it must be a whole number, 1 or more, or None for no such bound"]
