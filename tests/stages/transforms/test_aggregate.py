"""Events come together in windows, and a result goes out for each group."""

import asyncio
import functools
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from headrace.config.pipeline import Pipeline
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from headrace.stages.transforms.aggregate import CLOSED_EARLY, GROUPS, WINDOWS, Aggregate
from headrace.stages.transforms.aggregate_options import AggregateOptions
from tests.fakes.flow_stages import Collect
from tests.fakes.stepping import until
from tests.stages.runs import Ran, chain, run, run_events

pytestmark = pytest.mark.asyncio

MINUTE = {"window": {"tumbling": "1m"}, "time": "event.at"}
N = {"values": {"n": "count"}}


def options(**keys: object) -> AggregateOptions:
    return AggregateOptions.model_validate(keys)


def aggregate(**keys: object) -> Aggregate:
    return Aggregate(options(**keys))


def at(*seconds: object, **fields: object) -> list[object]:
    return [{"at": second, **fields} for second in seconds]


def counts(collect: Collect) -> list[int]:
    return [event["n"] for event in collect.events if isinstance(event, dict)]


def column(ran: Ran, name: str) -> list[object]:
    return [event[name] for event in ran.events if isinstance(event, dict)]


async def test_a_result_says_its_window_its_group_and_its_values() -> None:
    events = [
        {"at": "2017-01-01T11:53:26Z", "department": "PASTRY", "total": 0.5, "customer": "x"},
        {"at": "2017-01-01T11:53:59Z", "department": "PASTRY", "total": 0.25, "customer": "x"},
        {"at": "2017-01-01T11:54:00Z", "department": "PASTRY", "total": 1, "customer": "y"},
    ]
    values = {"revenue": {"sum": "event.total"}, "buyers": {"distinct": "event.customer"}, "n": "count"}
    ran = await run_events(events, aggregate(**MINUTE, by={"department": "event.department"}, values=values))
    assert ran.events == [
        {
            "window_start": "2017-01-01T11:53:00Z",
            "window_end": "2017-01-01T11:54:00Z",
            "department": "PASTRY",
            "revenue": 0.75,
            "buyers": 1,
            "n": 2,
            "revision": 1,
        },
        {
            "window_start": "2017-01-01T11:54:00Z",
            "window_end": "2017-01-01T11:55:00Z",
            "department": "PASTRY",
            "revenue": 1,
            "buyers": 1,
            "n": 1,
            "revision": 1,
        },
    ]
    assert ran.outcome.is_fine


@pytest.mark.parametrize("max_demand", [1, 2, 1000])
async def test_late_events_are_discarded_and_counted(max_demand: int) -> None:
    ran = await run_events(at(5, 65, 59, 70, 10), aggregate(**MINUTE, **N), max_demand=max_demand)
    assert column(ran, "n") == [1, 2]
    assert ran.stages[1].discarded["late"] == 2
    assert ran.outcome.is_fine


async def test_a_window_waits_for_events_that_are_out_of_order() -> None:
    ran = await run_events(at(5, 65, 59, 71, 58), aggregate(**MINUTE, **N, out_of_order="10s"), max_demand=1)
    assert column(ran, "n") == [2, 2]
    assert ran.stages[1].discarded["late"] == 1


async def test_a_window_that_has_closed_is_revised() -> None:
    keys = {"late": "update", "lateness": "1m"}
    ran = await run_events(at(5, 65, 59, 58, 119, 120, 57), aggregate(**MINUTE, **N, **keys), max_demand=1)
    found = list(zip(column(ran, "window_start"), column(ran, "n"), column(ran, "revision"), strict=True))
    assert [(str(start)[14:19], n, revision) for start, n, revision in found] == [
        ("00:00", 1, 1),
        ("00:00", 2, 2),
        ("00:00", 3, 3),
        ("01:00", 2, 1),
        ("02:00", 1, 1),
    ]
    assert ran.stages[1].discarded["late"] == 1


async def test_hopping_session_and_count_windows_have_their_shapes() -> None:
    events = at(0, 30, 61, 200)
    hopping = await run_events(events, aggregate(window={"hopping": "1m", "every": "30s"}, time="event.at", **N))
    assert column(hopping, "n") == [1, 2, 2, 1, 1, 1]
    session = await run_events(events, aggregate(window={"session": "1m"}, time="event.at", **N))
    assert column(session, "n") == [3, 1]
    assert column(session, "window_end") == ["1970-01-01T00:02:01Z", "1970-01-01T00:04:20Z"]
    count = await run_events(events, aggregate(window={"count": 3}, time="event.at", **N))
    assert column(count, "n") == [3, 1]
    assert column(count, "window_end") == ["1970-01-01T00:01:01Z", "1970-01-01T00:03:20Z"]


async def test_a_week_can_begin_on_a_monday() -> None:
    events: list[object] = [{"at": "2026-11-22T23:59:59Z"}, {"at": "2026-11-23T00:00:00Z"}]
    ran = await run_events(events, aggregate(window={"tumbling": "1w", "offset": "4d"}, time="event.at", **N))
    assert column(ran, "window_start") == ["2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"]


async def test_events_that_cannot_be_read_fail_alone(caplog: pytest.LogCaptureFixture) -> None:
    events = [*at(5, 6, n=1), *at(7, n="1"), *at("never", n=1), {"n": 1}, *at(8, n=1)]
    ran = await run_events(events, aggregate(**MINUTE, values={"n": "count", "sum": {"sum": "event.n"}}))
    assert column(ran, "n") == [3]
    assert column(ran, "sum") == [3]
    assert ran.stages[1].errors == {"BadEvent": 2, "MissingFieldError": 1}
    assert ran.outcome.events_failed == 3
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 2


async def test_a_group_may_be_a_list_or_a_dict() -> None:
    events = at(1, 2, tags=["a", "b"], of={"x": 1}) + at(3, tags=["a", "b"], of={"x": 1}) + at(4, tags=[], of={"x": 2})
    values = {"n": "count", "kinds": {"distinct": "event.tags"}}
    ran = await run_events(events, aggregate(**MINUTE, by={"tags": "event.tags", "of": "event.of"}, values=values))
    assert ran.outcome.is_fine
    assert column(ran, "tags") == [["a", "b"], []]
    assert column(ran, "of") == [{"x": 1}, {"x": 2}]
    assert column(ran, "n") == [3, 1]


async def test_an_event_of_the_future_fails_alone_and_makes_none_late() -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
    events = at(noon - 70, noon + 3601, noon - 65, noon + 3599)
    ran = await run(Producer.from_stream(events)(), Aggregate(options(**MINUTE, **N, max_ahead="1h"), lambda: noon))
    assert column(ran, "n") == [2, 1]
    assert ran.stages[1].errors == {"BadEvent": 1}
    assert ran.stages[1].discarded["late"] == 0


@pytest.mark.parametrize("bounds", [{"max_groups": 2}, {"max_windows": 1}])
async def test_that_there_is_no_room_is_said_once(bounds: dict[str, int], caplog: pytest.LogCaptureFixture) -> None:
    events = [{"at": 100 * n, "who": n} for n in range(9)]
    keys = {**MINUTE, **N, **bounds, "by": {"who": "event.who"}, "out_of_order": "1h"}
    ran = await run_events(events, aggregate(**keys), max_demand=1)
    assert sum(int(str(n)) for n in column(ran, "n")) == 9
    said = [
        record.getMessage()
        for record in caplog.records
        if "reached `max_groups` or `max_windows`" in record.getMessage()
    ]
    assert len(said) == 1
    assert "raise `max_groups` or `max_windows`" in said[0]
    assert ("overflow" in column(ran, "who")) is ("max_groups" in bounds)


class Told(Producer[object]):
    """Emits events as messages, and notes what it is told."""

    emits_messages = True

    def __init__(self, events: list[object]) -> None:
        self.events = events
        self.told: dict[int, list[Outcome]] = {number: [] for number in range(len(events))}

    def handle_demand(self, demand: int) -> list[object]:
        self.complete()
        return [
            Message(event, acknowledgement=Acknowledgement(functools.partial(self.note, number)))
            for number, event in enumerate(self.events)
        ]

    def note(self, number: int, outcome: Outcome) -> None:
        self.told[number].append(outcome)


async def test_messages_are_done_once_they_are_in_a_window_and_those_that_cannot_be_read_fail() -> None:
    source = Told([*at(5, 65), {}, *at(1)])
    ran = await run(source, aggregate(**MINUTE, **N))
    assert [one["n"] for one in ran.events if isinstance(one, dict)] == [1, 1]
    assert source.told == {0: [Outcome.DONE], 1: [Outcome.DONE], 2: [Outcome.FAILED], 3: [Outcome.DONE]}


async def test_what_is_kept_is_a_metric() -> None:
    ran = await run_events(at(5, 6, 65, 200, who="a"), aggregate(**MINUTE, **N, out_of_order="1h", max_windows=2))
    assert ran.family(GROUPS.name).samples == {(): 0}
    assert ran.family(WINDOWS.name).samples == {(): 0}
    assert ran.family(CLOSED_EARLY.name).samples == {(): 1}


class Inbox(Producer[object]):
    """Emits nothing by itself, and never ends."""

    def handle_demand(self, demand: int) -> list[object]:
        return []


async def test_windows_by_arrival_close_while_nothing_comes() -> None:
    inbox = Inbox()
    topology, collect = chain(inbox, aggregate(window={"tumbling": "20ms"}, **N))
    await topology.start()
    inbox.emit_nowait([1, 2, 3])
    await until(lambda: sum(counts(collect)) == 3)
    await topology.stop()


async def test_the_time_of_events_goes_on_by_the_clock_when_the_source_is_idle() -> None:
    inbox = Inbox()
    keys = {"window": {"tumbling": "20ms"}, "time": "event.at", "idle": "5ms", "out_of_order": "10ms"}
    topology, collect = chain(inbox, aggregate(**keys, **N))
    await topology.start()
    inbox.emit_nowait(at(0.001, 0.002))
    await until(lambda: len(collect.events) == 1)
    assert counts(collect) == [2]
    await topology.stop()


async def test_the_wall_clock_names_the_windows_of_events_that_say_no_time() -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
    ran = await run_events([1, 2], Aggregate(options(window={"tumbling": "1h"}, **N), lambda: noon))
    assert column(ran, "window_start") == ["2026-11-24T12:00:00Z"]
    assert column(ran, "n") == [2]


async def test_a_clock_that_is_put_back_neither_crashes_nor_loses() -> None:
    readings = iter([1000.0, 5000.0, 10.0, 4000.0])
    last = [0.0]

    def wall() -> float:
        last[0] = next(readings, last[0])
        return last[0]

    ran = await run_events(range(6), Aggregate(options(window={"tumbling": "1s"}, **N), wall), max_demand=1)
    assert sum(int(str(n)) for n in column(ran, "n")) == 6
    assert ran.stages[1].discarded["late"] == 0
    assert ran.outcome.is_fine


async def test_a_drain_brings_out_what_is_in_open_windows() -> None:
    inbox = Inbox()
    topology, collect = chain(inbox, aggregate(window={"tumbling": "1h"}, time="event.at", **N))
    await topology.start()
    inbox.emit_nowait(at(1, 2))
    outcome = await topology.drain()
    assert counts(collect) == [2]
    assert outcome.is_fine


class Stuck(Consumer[object]):
    """Takes one event, and is never done with it."""

    def __init__(self) -> None:
        self.events: list[object] = []

    async def handle_events(self, events: list[object]) -> None:
        self.events += events
        await asyncio.Event().wait()


class Ticking(Aggregate):
    """Counts how often it is told that time has gone on."""

    ticks = 0

    def handle_info(self, message: object) -> list[object]:
        self.ticks += 1
        return super().handle_info(message)


async def test_a_source_is_not_idle_while_its_events_cannot_be_taken() -> None:
    inbox, stuck = Inbox(), Stuck()
    keys = {"window": {"tumbling": "5ms"}, "time": "event.at", "idle": "1ms"}
    stage = Ticking(options(**keys, **N))
    topology = Topology("test")
    topology.add("inbox", lambda: inbox)
    topology.add("stage", lambda: stage, subscribe_to=SubscribeTo("inbox", 10))
    topology.add("stuck", lambda: stuck, subscribe_to=SubscribeTo("stage", 1, 0))
    await topology.start()
    inbox.emit_nowait(at(0.001, 0.007))
    await until(lambda: len(stuck.events) == 1)
    await until(lambda: stage.ticks >= 5)
    assert stage._windows.retained() == 1
    await topology.stop()


class Unequal:
    """Cannot be compared, which only shows when two of them meet."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise NotImplementedError


async def test_a_crash_counts_what_it_loses_and_goes_on() -> None:
    events = [*at(1, who="a"), *at(2, who=Unequal()), *at(3, who=Unequal()), *at(70, who="a")]
    ran = await run(
        Producer.from_stream(events)(),
        lambda: aggregate(**MINUTE, **N, by={"who": "event.who"}),
        max_demand=1,
    )
    assert column(ran, "n") == [1]
    assert column(ran, "window_start") == ["1970-01-01T00:01:00Z"]
    assert ran.stages[1].restarts == 1
    assert ran.stages[1].discarded["crash"] == 3
    assert ran.outcome.events_lost == 3


async def test_what_is_in_open_windows_when_a_run_is_stopped_is_counted() -> None:
    inbox = Inbox()
    topology, _ = chain(inbox, aggregate(**MINUTE, **N))
    await topology.start()
    inbox.emit_nowait(at(1, 2))
    await until(lambda: topology.snapshot().stages[1].events_received == 2)
    await topology.stop()
    assert topology.snapshot().stages[1].discarded["cancelled"] == 2


@pytest.mark.parametrize("copies", ["", "concurrency: 3, partition_by: event.team,"])
async def test_copies_have_each_a_share_of_the_groups(copies: str, tmp_path: Path) -> None:
    text = f"""
listen: off
stages:
  numbers: {{type: generate, count: 1000, template: {{n: event.n, at: event.n / 10, team: event.n % 7}}}}
  sums: {{type: aggregate, {copies} subscribe_to: numbers, window: {{tumbling: 10s}}, time: event.at,
         by: {{team: event.team}}, values: {{sum: {{sum: event.n}}}}}}
  kept: {{type: write_lines, subscribe_to: sums, path: {tmp_path / "out"}}}
"""
    pipeline = Pipeline.from_text(text)
    await pipeline.start()
    assert (await pipeline.join()).is_fine
    found = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    sums = [sum(range(begin + first, begin + 100, 7)) for begin in range(0, 1000, 100) for first in range(7)]
    assert len(found) == 70
    assert sorted(one["sum"] for one in found) == sorted(sums)
    assert len({(one["window_start"], one["team"]) for one in found}) == 70


async def test_results_can_be_aggregated_again() -> None:
    events = at(*range(0, 600, 7))
    again = aggregate(window={"tumbling": "5m"}, time="event.window_start", values={"n": {"sum": "event.n"}})
    ran = await run_events(events, aggregate(**MINUTE, **N), again)
    assert column(ran, "n") == [43, 43]
    assert ran.stages[2].discarded["late"] == 0


async def test_a_config_runs_it() -> None:
    text = """
listen: off
stages:
  numbers: {type: generate, count: 1000, template: {n: event.n, at: event.n / 10}}
  sums:
    type: aggregate
    subscribe_to: numbers
    window: {tumbling: 10s}
    time: event.at
    by: {is_even: event.n % 2 == 0}
    values: {n: count, sum: {sum: event.n}, p50: {quantile: event.n, at: 0.5}}
  kept: {type: discard, subscribe_to: sums}
"""
    pipeline = Pipeline.from_text(text)
    await pipeline.start()
    outcome = await pipeline.join()
    assert outcome.is_fine
    sums = next(stage for stage in pipeline.snapshot().stages if stage.name == "sums")
    assert (sums.events_received, sums.events_sent) == (1000, 20)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"window": {}}, "a window is one of"),
        ({"window": {"tumbling": "1m", "count": 3}}, "a window is one of"),
        ({"window": {"hopping": "1m"}}, "needs `every:`"),
        ({"window": {"tumbling": "1m", "every": "1m"}}, "no other has it"),
        ({"window": {"hopping": "1m", "every": "2m"}}, "would leave events out"),
        ({"window": {"tumbling": "0s"}}, "1us or more"),
        ({"window": {"tumbling": "1m", "offset": "1m"}}, "less than the time between two windows"),
        ({"window": {"hopping": "5m", "every": "1m", "offset": "2m"}}, "less than the time between two windows"),
        ({"window": {"session": "5m", "offset": "2m"}}, "sessions and counts have none"),
        ({"window": {"tumbling": "100000d"}}, "a hundred years or less"),
        ({"window": {"hopping": "1h", "every": "1s"}}, "in 3600 windows, more than `max_windows`"),
        ({"window": {"count": 0}}, "greater than or equal to 1"),
        ({"window": {"tumbling": 60}}, "has no unit"),
        ({"values": {}}, "at least 1"),
        ({"values": {"n": {}}}, "a value is `count`, or one of"),
        ({"values": {"n": {"sum": "event.n", "max": "event.n"}}}, "a value is `count`, or one of"),
        ({"values": {"n": {"quantile": "event.n"}}}, "a quantile needs `at:`"),
        ({"values": {"n": {"sum": "event.n", "at": 0.5}}}, "nothing else has it"),
        ({"values": {"n": {"quantile": "event.n", "at": 95}}}, "less than or equal to 1"),
        ({"values": {"n": {"sum": "event."}}}, "event."),
        ({"values": {"revision": "count"}}, "every result has a key of that name"),
        ({"values": {"n": "count"}, "by": {"n": "event.n"}}, "a group has that name"),
        ({"by": {"window_end": "event.n"}}, "every result has a key of that name"),
        ({"time": None, "late": "drop"}, "without `time:`"),
        ({"time": None, "out_of_order": "1s"}, "without `time:`"),
        ({"time": None, "idle": "1s"}, "without `time:`"),
        ({"time": None, "max_ahead": "1s"}, "without `time:`"),
        ({"window": {"count": 3}, "out_of_order": "1s"}, "waits for no time"),
        ({"late": "update"}, "needs `lateness:`"),
        ({"lateness": "1m"}, "nothing else has it"),
        ({"late": "update", "lateness": "1m", "window": {"session": "1m"}}, "a session's bounds are not fixed"),
        ({"late": "keep"}, "'drop', 'route' or 'update'"),
        ({"max_groups": 0}, "greater than or equal to 1"),
        ({"group": "event.n"}, "Extra inputs"),
    ],
)
async def test_options_that_make_no_sense_are_refused(keys: dict[str, object], said: str) -> None:
    given = {key: value for key, value in {**MINUTE, **N, **keys}.items() if value is not None}
    with pytest.raises(ValidationError, match=said):
        options(**given)
