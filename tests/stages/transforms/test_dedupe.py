"""The first event of each key passes, and no double within the time and the number of keys that are said."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.message import Message, Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.topology.topology import Topology
from headrace.stages.transforms.dedupe import Dedupe, DedupeOptions, SeenKeys
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Kept
from tests.fakes.jumping import jumped, when
from tests.fakes.stepping import until
from tests.stages.runs import run, run_events


def dedupe(**options: object) -> Dedupe:
    return Dedupe(DedupeOptions.model_validate(options))


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0, 3))), st.integers(1, 5), st.floats(0.1, 5))
def test_a_key_is_new_unless_it_came_within_the_time_and_the_last_keys(
    steps: list[tuple[int, float]], most: int, seconds: float
) -> None:
    seen, now, known = SeenKeys(most, seconds), 0.0, dict[int, float]()
    for key, passed in steps:
        now += passed
        known = {one: at for one, at in known.items() if now - at < seconds}
        assert seen.is_new(key, now) == (key not in known)
        known.setdefault(key, now)
        known = dict(list(known.items())[-most:])
        assert len(seen) == len(known) <= most


@given(st.lists(st.integers(0, 9)))
def test_the_first_ones_pass_in_order_and_the_doubles_are_counted(events: list[int]) -> None:
    ran = asyncio.run(run_events(list[object](events), dedupe(key="event")))
    assert ran.events == list(dict.fromkeys(events))
    assert ran.stages[1].discarded["duplicate"] == len(events) - len(set(events))
    assert ran.family("headrace_dedupe_keys").samples == {(): len(set(events))} or not events


def test_a_key_may_come_again_after_its_time() -> None:
    async def main() -> None:
        topology, sink = Topology(), Kept()
        topology.add("door", Inbox)
        topology.add("dedupe", lambda: dedupe(key="event", within="10s"), subscribe_to="door")
        topology.add("sink", lambda: sink, subscribe_to="dedupe")
        await topology.start()
        await topology.stage("door").emit([1, 1])
        await when(lambda: sink.data == [1])
        await asyncio.sleep(11)  # of a clock that jumps
        await topology.stage("door").emit([1])
        await when(lambda: sink.data == [1, 1])
        await topology.drain()

    jumped(main())


@pytest.mark.asyncio
async def test_a_double_is_done_and_an_event_without_a_key_fails() -> None:
    source = Told(4)
    await run(source, dedupe(key="1 / (event - 2) > 0"))
    assert source.outcomes() == [Outcome.DONE, Outcome.FAILED, Outcome.DONE, Outcome.DONE]


@pytest.mark.asyncio
async def test_an_event_that_failed_behind_it_may_come_again() -> None:
    class Again(Told):
        """Sends what failed once more, and not what the end of the run leaves over."""

        def _tell(self, number: int, outcome: Outcome) -> None:
            super()._tell(number, outcome)
            if outcome is Outcome.FAILED and self.told[number] == [outcome] and number == 3:
                self.emit_nowait([Message(number, acknowledgement=self.message(number).acknowledgement)])

    class Fails(Consumer[Any]):
        per_event = True
        one_to_one = True
        left = 1

        def handle_events(self, events: list[Any]) -> None:
            for position, event in enumerate(events):
                if event == 3 and self.left:
                    self.left -= 1
                    self.fail_at(position, ValueError(event))

    source, sink = Again(None), Fails()
    topology = Topology()
    topology.add("source", lambda: source)
    topology.add("dedupe", lambda: dedupe(key="event"), subscribe_to="source")
    topology.add("sink", lambda: sink, subscribe_to="dedupe")
    await topology.start()
    await until(lambda: len(source.told.get(3, [])) == 2)
    assert source.told[3] == [Outcome.FAILED, Outcome.DONE]
    await topology.stop()


@pytest.mark.asyncio
async def test_a_key_that_cannot_be_told_from_others_fails_its_event() -> None:
    ran = await run_events([{"k": [bytearray(b"a")]}, {"k": 1}], dedupe(key="event.k"))
    assert (ran.events, ran.outcome.events_failed) == ([{"k": 1}], 1)


@pytest.mark.asyncio
async def test_a_list_or_a_dict_is_a_key() -> None:
    keys: list[object] = [[1, 2], {"a": 1, "b": 2}, [1, 2], {"b": 2, "a": 1}, "[1, 2]", [2, 1]]
    ran = await run_events(keys, dedupe(key="event"))
    assert ran.events == [keys[0], keys[1], keys[4], keys[5]]
    assert ran.outcome.is_fine
