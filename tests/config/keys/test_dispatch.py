"""Dispatchers in a config: each wrong word is told at its place, and the right ones do what they say."""

from collections.abc import Mapping
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from headrace.config.build import build
from headrace.config.files import load_file, load_text
from headrace.config.schema import schema
from headrace.config.stage_types import StageTypes
from headrace.config.text.findings import ConfigError
from headrace.pipeline.dispatchers.entry_points import BUILT_IN, GROUP
from headrace.pipeline.topology.topology import Topology
from tests.config.configs import config_of, findings_of
from tests.fakes.config_stages import catalogue

NAMES = "broadcast, demand, partition, round_robin, weighted"

FINDINGS = [
    ("dispatcher: round", "a", "bad-value", 30, f"`dispatcher` must be an installed dispatcher: {NAMES}"),
    ("dispatcher: [demand]", "a", "bad-value", 18, "`dispatcher`: it must be the name of a dispatcher, or a mapping"),
    ("dispatcher: {type: demnd}", "a", "bad-value", 37, "`dispatcher.type` must be an installed dispatcher"),
    ("dispatcher: partition", "{stage: a, partition: 0}", "missing-key", 30, "needs `partitions:`, how many there are"),
    (
        "dispatcher: {type: partition, partitions: [x, y]}",
        "{stage: a, partition: x}",
        "missing-key",
        18,
        "partitions with names need `by:`",
    ),
    (
        "dispatcher: {type: partition, partitions: [x, x], by: event}",
        "{stage: a, partition: x}",
        "bad-value",
        48,
        "must give each partition a name of its own",
    ),
    (
        "dispatcher: {type: partition, partitions: 0}",
        "{stage: a, partition: 0}",
        "bad-value",
        60,
        "`dispatcher.partitions` must be 1 or more, and is 0",
    ),
    (
        "dispatcher: {type: partition, partitions: 2, max_queue: 0}",
        "{stage: a, partition: 0}",
        "bad-value",
        74,
        "`dispatcher.max_queue` must be 1 or more, and is 0",
    ),
    (
        "dispatcher: {type: partition, partitions: 2, bye: event}",
        "{stage: a, partition: 0}",
        "unknown-key",
        63,
        "`dispatcher` has no key `bye`",
    ),
    ("dispatcher: {type: demand, max_queue: 9}", "a", "misplaced-key", 56, "only a partition dispatcher has this key"),
    (
        "dispatcher: {type: weighted, shuffle_demands_on_first_dispatch: true}",
        "a",
        "misplaced-key",
        82,
        "only a demand dispatcher has this key",
    ),
]

SUBSCRIPTIONS = [
    (
        "demand",
        "{stage: a, selector: event}",
        "misplaced-key",
        45,
        "a selector picks from broadcast events, and a has",
    ),
    ("broadcast", "{stage: a, weight: 2}", "misplaced-key", 45, "a weight is for a weighted dispatcher, and a has"),
    ("{type: weighted}", "{stage: a, partition: 2}", "misplaced-key", 45, "a partition is for a partition dispatcher"),
    ("weighted", "{stage: a, weight: 0}", "bad-value", 53, "`subscribe_to.weight` must be 1 or more, and is 0"),
    (
        "{type: partition, partitions: 2}",
        "a",
        "missing-key",
        34,
        "which has a partition dispatcher, needs `partition:`",
    ),
    ("{type: partition, partitions: 2}", "{stage: a}", "missing-key", 34, "needs `partition:`"),
    (
        "{type: partition, partitions: 2}",
        "{stage: a, partition: 2}",
        "bad-value",
        56,
        "a has no partition `2`: it has 0, 1",
    ),
    (
        "{type: partition, partitions: [eu, us], by: event}",
        "{stage: a, partition: ue}",
        "bad-value",
        56,
        "a has no partition `ue`: it has eu, us",
    ),
]


@pytest.mark.parametrize(("dispatcher", "to", "code", "column", "words"), FINDINGS)
def test_a_wrong_dispatcher_is_told_where_it_is(dispatcher: str, to: str, code: str, column: int, words: str) -> None:
    (found,) = findings_of(f"stages:\n  a: {{type: tick, {dispatcher}}}\n  b: {{type: tally, subscribe_to: {to}}}")
    assert (found.code, found.line, found.column) == (code, 2, column + 1)
    assert words in found.message


@pytest.mark.parametrize(("dispatcher", "to", "code", "column", "words"), SUBSCRIPTIONS)
def test_a_subscription_that_its_dispatcher_has_no_place_for_is_told_where_it_is(
    dispatcher: str, to: str, code: str, column: int, words: str
) -> None:
    text = f"stages:\n  a: {{type: tick, dispatcher: {dispatcher}}}\n  b: {{type: tally, subscribe_to: {to}}}"
    (found,) = findings_of(text)
    assert (found.code, found.line, found.column) == (code, 3, column)
    assert words in found.message


def test_a_name_that_is_nearly_right_comes_with_the_right_one() -> None:
    (found,) = findings_of("stages:\n  a: {type: tick, dispatcher: round-robin}\n  b: {type: tally, subscribe_to: a}")
    assert found.suggestion == "round_robin"


def test_what_a_variable_gives_for_a_name_is_not_shown() -> None:
    text = "stages:\n  a: {type: tick, dispatcher: '${V}'}\n  b: {type: tally, subscribe_to: a}"
    assert config_of(text, {"V": "demand"}).stages[0].keys.dispatcher.type == "demand"
    (found,) = findings_of(text, {"V": "s3cret-word"})
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("dispatcher", "words"),
    [
        ("{type: partition, partitions: 2}", "no stage takes partition 1 of a, which would stop once it is full"),
        ("{type: partition, partitions: [0, eu, us], by: event}", "no stage takes partitions eu, us of a"),
    ],
)
def test_a_partition_that_nobody_takes_is_named_where_the_config_runs_alone(
    dispatcher: str, words: str, tmp_path: Path
) -> None:
    text = f"stages:\n  a: {{type: tick, dispatcher: {dispatcher}}}\n"
    sinks = [f"  s{number}: {{type: tally, subscribe_to: {{stage: a, partition: 0}}}}\n" for number in (1, 2)]
    (tmp_path / "a.yaml").write_text(text + "".join(sinks))
    with pytest.raises(ConfigError) as caught:
        load_file(tmp_path / "a.yaml", environ={}, imports=False, catalogue=catalogue(), runs_alone=True)
    (found,) = caught.value.findings
    assert (found.code, found.line, found.column) == ("nobody-subscribes", 2, 19)
    assert words in found.message
    assert len(config_of(text + sinks[0]).stages) == 2


def test_partitions_that_variables_name_are_not_shown() -> None:
    text = (
        "stages:\n  a: {type: tick, dispatcher: {type: partition, partitions: ['${A}', '${B}'], by: event}}\n"
        "  b: {type: tally, subscribe_to: {stage: a, partition: '${C}'}}"
    )
    assert len(config_of(text, {"A": "hidden-one", "B": "hidden-two", "C": "hidden-two"}).stages) == 2
    for found in findings_of(text, {"A": "hidden-one", "B": "hidden-one", "C": "hidden-two"}):
        assert "hidden" not in str(found)


def test_all_that_is_built_in_is_an_entry_point_too() -> None:
    installed = {point.name: point.load() for point in entry_points(group=GROUP)}
    assert {name: installed.get(name) for name in BUILT_IN} == BUILT_IN


RUNS: Mapping[str, tuple[str, dict[str, list[int]]]] = {
    "by a name": (
        "{type: partition, partitions: [low, high], by: \"'low' if event < 5 else 'high' if event < 9 else None\"}",
        {"partition: low": [0, 1, 2, 3, 4], "partition: high": [5, 6, 7, 8]},
    ),
    "by a key": (
        "{type: partition, partitions: 2, by: event // 2, max_queue: 3}",
        {"partition: 0": [0, 1, 4, 5, 8, 9], "partition: 1": [2, 3, 6, 7]},
    ),
    "by the event": (
        "{type: partition, partitions: 2}",
        {"partition: 0": [0, 2, 4, 6, 8], "partition: 1": [1, 3, 5, 7, 9]},
    ),
    "in turn": (
        "round_robin",
        {"max_demand: 10": [0, 2, 4, 6, 8], "max_demand: 20": [1, 3, 5, 7, 9]},
    ),
    "by weight": ("weighted", {"weight: 4": [0, 1, 2, 3, 4, 5, 6, 7], "weight: 1": [8, 9]}),
    "by demand": (
        "{type: demand, shuffle_demands_on_first_dispatch: true}",
        {"max_demand: 50": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "max_demand: 10": []},
    ),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", RUNS)
async def test_a_config_deals_out_events_as_it_says(name: str, tmp_path: Path) -> None:
    dispatcher, expected = RUNS[name]
    sinks = "".join(
        f"  s{place}: {{type: write_lines, subscribe_to: {{stage: a, {said}}}, path: '{tmp_path}/{place}'}}\n"
        for place, said in enumerate(expected)
    )
    text = f"stages:\n  a: {{type: generate, count: 10, dispatcher: {dispatcher}}}\n{sinks}"
    config = load_text(text, environ={}, catalogue=StageTypes.installed())
    topology = Topology()
    build(config, topology)
    assert (await topology.run()).is_fine
    got = {
        said: [int(line) for line in (tmp_path / str(place)).read_text().split()] for place, said in enumerate(expected)
    }
    assert got == expected


def test_a_name_alone_stays_a_name_and_options_make_a_function() -> None:
    topology = Topology()
    config = config_of(
        "stages:\n  a: {type: tick, dispatcher: demand}\n  b: {type: change, subscribe_to: a, dispatcher: "
        "{type: partition, partitions: 2}}\n  c: {type: tally, subscribe_to: {stage: b, partition: 1}}"
    )
    build(config, topology)
    settings = [topology._specs[name].settings.dispatcher for name in ("a", "b")]
    assert settings[0] == "demand"
    assert isinstance(settings[1], partial)


def test_the_schema_knows_a_name_and_a_mapping() -> None:
    made = schema(catalogue())
    (tick,) = [one for one in made["properties"]["stages"]["additionalProperties"]["oneOf"] if one["title"] == "tick"]  # type: ignore[index] # it is all plain dicts
    short, long = tick["properties"]["dispatcher"]["anyOf"]
    assert set(short["enum"]) >= set(BUILT_IN)
    assert long == {"$ref": "#/$defs/DispatcherKeys"}
    definitions = made["$defs"]
    assert isinstance(definitions, dict)
    assert {"type", "partitions", "by", "max_queue"} <= set(definitions["DispatcherKeys"]["properties"])
    assert {"partition", "weight", "selector"} <= set(definitions["SubscriptionKeys"]["properties"])
