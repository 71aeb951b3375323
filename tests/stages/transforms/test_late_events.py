"""Late events of `aggregate` have an output of their own, beside the results, where somebody takes it."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.pipeline import Pipeline
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Inbox, Producer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.transforms.aggregate import Aggregate
from headrace.stages.transforms.aggregate_options import AggregateOptions
from tests.fakes.failing_stages import Kept
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled, until

pytestmark = pytest.mark.asyncio

DONE, FAILED = Outcome.DONE, Outcome.FAILED
LATE = SubscribeTo("sums", output="late")


def aggregate(**keys: object) -> Aggregate:
    said = {"window": {"tumbling": "1m"}, "time": "event.at", "values": {"n": "count"}, "late": "route", **keys}
    return Aggregate(AggregateOptions.model_validate(said))


def at(*seconds: object, **fields: object) -> list[object]:
    return [{"at": second, **fields} for second in seconds]


class Told(Producer[object]):
    """Emits each event as a message, and notes what it is told."""

    emits_messages = True

    def __init__(self, events: Sequence[object]) -> None:
        self.told: list[list[Outcome]] = [[] for _ in events]
        self.left = [
            Message(event, {}, Acknowledgement(told.append)) for event, told in zip(events, self.told, strict=True)
        ]

    def handle_demand(self, demand: int) -> list[object]:
        given, self.left = self.left[:demand], self.left[demand:]
        if not self.left:
            self.complete()
        return list[object](given)


def graph(source: Any, stage: Any, *, max_demand: int = 1000) -> tuple[Topology, Kept]:
    """Return a source and an aggregate whose results are kept; each batch has at most half of `max_demand`."""
    topology, results = Topology(cancel="temporary"), Kept()
    topology.add("source", source)
    topology.add(
        "sums", stage, subscribe_to=SubscribeTo("source", max_demand), settings=StageSettings(dispatcher="broadcast")
    )
    topology.add("results", lambda: results, subscribe_to="sums")
    return topology, results


def add_late(topology: Topology, to: SubscribeTo = LATE) -> Kept:
    late = Kept()
    topology.add("late", lambda: late, subscribe_to=to)
    return late


def discarded(topology: Topology, reason: str) -> int:
    return next(stage for stage in topology.snapshot().stages if stage.name == "sums").discarded[reason]


def counts(results: Kept) -> list[object]:
    return [result["n"] for result in results.data if isinstance(result, dict)]


EVENTS = at(5, 65, 59, "never", 10, n=1)


async def test_late_events_go_bare_by_an_output_of_their_own_and_results_as_ever() -> None:
    topology, results = graph(Producer.from_stream(EVENTS), aggregate, max_demand=1)
    late = add_late(topology)
    await topology.start()
    assert (await topology.join()).events_failed == 1
    assert late.data == at(59, 10, n=1)
    assert counts(results) == [1, 1]
    assert discarded(topology, "late") == 0
    check_end(run_of(topology))


async def test_late_events_that_nobody_takes_are_discarded_and_counted() -> None:
    topology, results = graph(Producer.from_stream(EVENTS), aggregate, max_demand=1)
    await topology.start()
    await topology.join()
    assert counts(results) == [1, 1]
    assert discarded(topology, "late") == 2


@pytest.mark.parametrize("late", ["drop", "update"])
async def test_without_route_there_is_no_such_output(late: str) -> None:
    keys = {"late": late, **({"lateness": "1m"} if late == "update" else {})}
    assert aggregate(**keys).side_outputs == ()


async def test_a_value_or_a_group_may_be_called_late() -> None:
    topology, results = graph(
        Producer.from_stream(at(5, 65, 59, n=1)), lambda: aggregate(values={"late": "count"}, by={"n": "event.n"})
    )
    add_late(topology)
    await topology.start()
    assert (await topology.join()).is_fine
    assert [result["late"] for result in results.data if isinstance(result, dict)] == [1, 1]


class NoLate(Consumer[object]):
    """Fails for all that it gets."""

    def handle_events(self, events: list[object]) -> None:
        for event in events:
            self.fail_event(event, ValueError("late"))


async def test_late_messages_wait_for_what_becomes_of_them() -> None:
    source = Told(at(5, 65, 59))
    topology, _ = graph(lambda: source, aggregate)
    topology.add("late", NoLate, subscribe_to=LATE)
    await topology.start()
    await topology.join()
    assert source.told == [[DONE], [DONE], [FAILED]]


def _apart(seconds: Sequence[int], out_of_order: int) -> tuple[Counter[int], list[int]]:
    """Return how many events of each minute are on time, and the positions of the others."""
    counted, late, watermark = Counter[int](), [], -(10**9)
    for position, second in enumerate(seconds):
        if second // 60 * 60 + 60 <= watermark:
            late.append(position)
        else:
            counted[second // 60 * 60] += 1
        watermark = max(watermark, second - out_of_order)
    return counted, late


@given(
    st.lists(st.integers(0, 600), max_size=60),
    st.integers(0, 120),
    st.integers(1, 20),
    st.integers(1, 5),
    st.sampled_from(["plain", "told"]),
)
async def test_each_event_counts_in_a_result_or_goes_by_the_output_once_and_in_order(
    seconds: list[int], out_of_order: int, demand: int, late_demand: int, edge: str
) -> None:
    events = [{"at": second, "id": number} for number, second in enumerate(seconds)]
    told = Told(events)

    source = (lambda: told) if edge == "told" else Producer.from_stream(list(events))
    topology, results = graph(source, lambda: aggregate(out_of_order=f"{out_of_order}s"), max_demand=demand)
    late = add_late(topology, SubscribeTo("sums", late_demand, output="late"))
    await topology.start()
    assert (await topology.join()).is_fine
    check_end(run_of(topology))
    counted, missed = _apart(seconds, out_of_order)
    assert late.data == [events[position] for position in missed]
    assert sorted(counts(results), key=str) == sorted(counted.values(), key=str)
    assert edge == "plain" or told.told == [[DONE]] * len(events)


async def test_results_do_not_wait_for_those_who_take_late_events() -> None:
    inbox = Inbox[object]()
    topology, results = graph(lambda: inbox, aggregate)
    add_late(topology, SubscribeTo("sums", 1, output="late"))
    await topology.start()
    topology.stage("late").pause()
    topology.stage("sums.late").resize(0)
    inbox.emit_nowait(at(5, 65, 1, 2, 3))
    await until(lambda: counts(results) == [1])
    await settled(topology)
    inbox.emit_nowait(at(125))
    await settled(topology)
    assert counts(results) == [1]  # late events wait, and so does what comes behind them
    topology.stage("late").resume()
    await until(lambda: counts(results) == [1, 1])
    await topology.drain()
    assert counts(results) == [1, 1, 1]


class Ticking(Aggregate):
    """Counts how often it is told that time has gone on."""

    ticks = 0

    def handle_info(self, message: object) -> list[object]:
        self.ticks += 1
        return super().handle_info(message)


async def test_a_source_is_not_idle_while_late_events_cannot_be_taken() -> None:
    inbox, loop = Inbox[object](), asyncio.get_running_loop()
    stage = Ticking(aggregate(idle="20ms")._options)
    topology, results = graph(lambda: inbox, lambda: stage)
    late = add_late(topology, SubscribeTo("sums", 1, output="late"))
    await topology.start()
    topology.stage("late").pause()
    topology.stage("sums.late").resize(0)
    inbox.emit_nowait(at(5, 119.985))
    inbox.emit_nowait(at(1, 2, 3))
    begun = loop.time()
    await until(lambda: loop.time() > begun + 0.03)  # longer than `idle`, and past the end of the window
    topology.stage("late").resume()
    await until(lambda: stage.ticks > 0)
    assert stage._windows.retained() == 1
    await until(lambda: counts(results) == [1, 1])
    assert late.data == at(1, 2, 3)
    await topology.stop()


class Unequal:
    """Cannot be compared, which only shows when two of them meet."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise NotImplementedError


async def test_an_aggregate_that_crashes_has_its_output_again() -> None:
    groups = [*at(1, 61, 2, who="a"), *at(62, 63, who=Unequal()), *at(64, 124, 65, who="a")]
    groups[4] = {"at": 63, "who": Unequal()}
    topology, results = graph(Producer.from_stream(groups), lambda: aggregate(by={"who": "event.who"}), max_demand=1)
    late = add_late(topology)
    await topology.start()
    await topology.join()
    assert late.data == [groups[2], groups[7]]
    assert counts(results) == [1, 1, 1]
    assert discarded(topology, "crash") == 3


async def test_what_is_under_way_when_a_run_is_stopped_is_counted_once() -> None:
    inbox = Inbox[object]()
    topology, results = graph(lambda: inbox, aggregate)
    late = add_late(topology, SubscribeTo("sums", 1, output="late"))
    await topology.start()
    topology.stage("late").pause()
    topology.stage("sums.late").resize(0)
    inbox.emit_nowait(at(1, 61))
    await until(lambda: counts(results) == [1])
    inbox.emit_nowait(at(62, 2, 3))
    await until(lambda: topology.snapshot().stages[-1].in_flight_events == 1)
    await settled(topology)
    await topology.stop()
    assert late.data == []
    assert discarded(topology, "cancelled") == 1 + 2  # in the window, and in hand: the third in hand had gone aside
    assert sum(sum(stage.discarded.values()) for stage in topology.snapshot().stages) == 4  # all but the one in results


CONFIG = """\
listen: off
stages:
  numbers:
    type: generate
    count: 1000
    template: {{n: event.n, at: event.n if event.n % 10 else 1, team: event.n % 3}}
  sums:
    type: aggregate
    subscribe_to: numbers
    window: {{tumbling: 100s}}
    time: event.at
    late: route
    by: {{team: event.team}}
    values: {{n: count, sum: {{sum: event.n}}}}
    {more}
  kept: {{type: write_lines, path: "${{OUT}}/results", subscribe_to: {{stage: sums{to}}}}}
  late: {{type: write_lines, path: "${{OUT}}/late", subscribe_to: {{stage: sums, output: late}}}}
"""


@pytest.mark.parametrize(
    ("more", "to"),
    [
        ("", ""),
        ("concurrency: 3\n    partition_by: event.team", ""),
        ("dispatcher: demand", ""),
        ("dispatcher: round_robin", ""),
        ("dispatcher: weighted", ", weight: 2"),
        ("dispatcher: {type: partition, partitions: 1, by: event.team}", ", partition: 0"),
        ("dispatcher: broadcast", ", selector: event.n > 0"),
    ],
)
async def test_a_config_has_late_events_in_a_file_of_their_own(more: str, to: str, tmp_path: Path) -> None:
    text = CONFIG.format(more=more, to=to)
    async with Pipeline.from_text(text, environ={"OUT": str(tmp_path)}) as pipeline:
        assert (await pipeline.join()).is_fine
    results, late = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()] for name in ("results", "late")
    )
    assert sum(one["n"] for one in results) + len(late) == 1000
    assert sum(one["sum"] for one in results) + sum(one["n"] for one in late) == sum(range(1000))
    assert {one["n"] % 10 for one in late} == {0}
    assert 80 <= len(late) <= 90
