"""A checked config becomes stages of a topology."""

from functools import partial

from headrace.config.config import Config, ConfiguredStage
from headrace.config.model import SubscriptionKeys
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.subscription import SubscribeTo
from headrace.pipeline.topology.topology import Topology


def build(config: Config, topology: Topology) -> None:
    """Add the stages of a config to a topology, in the order of the file."""
    for stage in config.stages:
        topology.add(
            stage.name,
            partial(stage.type.make, stage.options),
            subscribe_to=[_subscription(keys) for keys in stage.keys.subscribe_to],
            settings=_settings(stage),
        )


def _subscription(keys: SubscriptionKeys) -> SubscribeTo:
    selector = keys.selector
    return SubscribeTo(
        keys.stage,
        max_demand=keys.max_demand,
        min_demand=keys.min_demand,
        cancel=keys.cancel,
        selector=None if selector is None else lambda event: bool(selector(event)),
    )


def _settings(stage: ConfiguredStage) -> StageSettings:
    buffer = stage.keys.buffer
    return StageSettings(stage.keys.dispatcher, buffer_size=buffer.max_events, buffer_keep=buffer.keep)
