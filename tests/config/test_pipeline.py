"""Pipelines made of configs, and run."""

from pathlib import Path

import pytest

from headrace.config.pipeline import Pipeline
from headrace.config.text.findings import ConfigError
from headrace.pipeline.flow.subscription import SubscribeTo
from tests.config.configs import config_of
from tests.fakes.config_stages import Tally, Tick

TEXT = """\
name: shop
listen: off
stages:
  tally: {type: tally, subscribe_to: [odd, {stage: ticks, selector: "event >= 8"}]}
  odd: {type: change, subscribe_to: {stage: ticks, max_demand: 4, min_demand: 1}, where: "event % 2 == 1"}
  ticks: {type: tick, count: 10}
"""


@pytest.mark.asyncio
async def test_a_config_runs_and_a_stage_with_several_subscribers_broadcasts() -> None:
    Tally.kept.clear()
    pipeline = Pipeline.from_config(config_of(TEXT))
    async with pipeline:
        outcome = await pipeline.join()
    assert outcome.is_completed
    assert sorted(map(str, Tally.kept)) == sorted(map(str, [1, 3, 5, 7, 9, 8, 9]))


@pytest.mark.asyncio
async def test_a_stage_of_a_config_can_be_read_from_python() -> None:
    pipeline = Pipeline.from_config(config_of("stages: {ticks: {type: tick, count: 3}}"))
    await pipeline.start()
    assert [event async for event in pipeline.stage("ticks").stream()] == [0, 1, 2]
    await pipeline.stop()


@pytest.mark.asyncio
async def test_a_file_of_installed_types_runs(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    path.write_text("stages:\n  numbers:\n    type: generate\n    count: ${COUNT}\n")
    pipeline = Pipeline.from_file(path, environ={"COUNT": "3"})
    assert pipeline.name == "numbers"
    async with pipeline:
        assert [event async for event in pipeline.stage("numbers").stream()] == [0, 1, 2]


def test_the_keys_of_a_stage_reach_the_topology() -> None:
    pipeline = Pipeline.from_config(
        config_of(
            """\
stages:
  a: {type: tick, dispatcher: demand, buffer: {max_events: 7, when_full: drop_newest}}
  b: {type: tally, subscribe_to: {stage: a, max_demand: 5, min_demand: 1, cancel: permanent}}
"""
        )
    )
    producer, consumer = pipeline._specs["a"], pipeline._specs["b"]
    settings = producer.settings
    assert (settings.dispatcher, settings.buffer_size, settings.buffer_keep) == ("demand", 7, "first")
    assert consumer.subscribe_to == (SubscribeTo("a", 5, 1, "permanent"),)


def test_a_restart_makes_a_new_stage_of_the_same_options() -> None:
    pipeline = Pipeline.from_config(config_of("stages: {ticks: {type: tick, count: 3}}"))
    spec = pipeline._specs["ticks"]
    again = spec.factory()
    assert isinstance(again, Tick)
    assert isinstance(spec.first, Tick)
    assert again is not spec.first
    assert again.options is spec.first.options


def test_a_pipeline_keeps_what_its_listener_needs() -> None:
    pipeline = Pipeline.from_config(config_of(TEXT.replace("listen: off", "listen: 127.0.0.1:0")))
    assert pipeline.name == "shop"
    assert pipeline.listen is not None
    assert pipeline.listen.address.port == 0
    assert Pipeline.from_config(config_of(TEXT)).listen is None


def test_a_pipeline_made_in_python_is_a_topology_as_in_genstage() -> None:
    pipeline = Pipeline("mine")
    assert (pipeline.config, pipeline.listen, pipeline._cancel) == (None, None, "permanent")


def test_a_wrong_file_or_text_is_refused_with_its_findings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing-file"):
        Pipeline.from_file(tmp_path / "no.yaml")
    with pytest.raises(ConfigError, match="needs `stages:`"):
        Pipeline.from_text("name: ${X}", folder=tmp_path, environ={"X": "shop"})
