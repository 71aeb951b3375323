"""Delivery guarantees of the paths of a config: whether an event can get lost between a source and a sink."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from typing_extensions import override

from headrace.config.check.config import Config, ConfiguredStage
from headrace.config.check.stage_names import has_disk_buffer
from headrace.config.text.messages import with_article
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.graph import ERRORS, upstream

DeliveryGuarantee = Literal["at-least-once", "at-most-once"]
"""Whether each event arrives, perhaps more than once, or at most once, perhaps never."""


@dataclass(frozen=True, slots=True)
class Guarantee:
    """The guarantee of all paths from a source to a sink, and the reason."""

    source: str
    sink: str
    delivery: DeliveryGuarantee
    why: str

    @override
    def __str__(self) -> str:
        return f"{self.source} -> {self.sink}: {self.delivery}, because {self.why}"


def guarantees(config: Config) -> list[Guarantee]:
    """Return a guarantee for each linked source and sink, in the order of the file.

    Paths through a stage whose class was not imported have none.
    """
    stages = {stage.name: stage for stage in config.stages}
    return [
        _guarantee(stages[source], sink, stages)
        for source in stages
        if stages[source].type.kind == "producer"
        for sink in stages
        if stages[sink].type.kind == "consumer" and source in _upstream(sink, stages)
        if all(stages[name].type.kind is not None for name in _between(source, sink, stages))
    ]


def _between(source: str, sink: str, stages: Mapping[str, ConfiguredStage]) -> list[str]:
    """Return the stages on the paths from a source to a sink, both included."""
    return [name for name in _upstream(sink, stages) if source in _upstream(name, stages)]


def _upstream(name: str, stages: Mapping[str, ConfiguredStage]) -> list[str]:
    """Return a stage and all stages from which events come to it."""
    return upstream(name, {one.name: [keys.stage for keys in one.keys.subscribe_to] for one in stages.values()})


def _guarantee(source: ConfiguredStage, sink: str, stages: Mapping[str, ConfiguredStage]) -> Guarantee:
    if not (can_redeliver(source) or has_disk_buffer(source)):
        why = f"{with_article(source.type.name)} stage cannot send an event again"
        return Guarantee(source.name, sink, "at-most-once", why)
    for name, why in _losses(_between(source.name, sink, stages), sink, stages):
        return Guarantee(source.name, sink, "at-most-once", f"of {name}: {why}")
    if has_disk_buffer(source):
        why = f"events in the buffer of {source.name} stay on the disk until they are handled"
        return Guarantee(source.name, sink, "at-least-once", why)
    why = f"{source.name} learns the outcome of each event, and sends failed ones again"
    return Guarantee(source.name, sink, "at-least-once", why)


def _losses(names: Collection[str], sink: str, stages: Mapping[str, ConfiguredStage]) -> Iterator[tuple[str, str]]:
    """Yield the stages that may lose events, each with the reason.

    A stage counts where others of `names` take its main output. Events on a side output get no guarantee.
    """
    subscriptions = [keys for name in names for keys in stages[name].keys.subscribe_to]
    for name in names:
        stage = stages[name]
        why = stage.type.stage.at_most_once
        taken = (keys.output for keys in subscriptions if keys.stage == name)
        if why and (name == sink or any(output not in _sides(stage) for output in taken)):
            yield name, why


def _sides(stage: ConfiguredStage) -> tuple[str, ...]:
    """Return the names of a stage's side outputs."""
    return (ERRORS, *_example(stage).side_outputs)


def can_redeliver(source: ConfiguredStage) -> bool:
    """Whether a source can send an event again; its options may decide that."""
    return _example(source).emits_messages


def _example(stage: ConfiguredStage) -> Stage | type[Stage]:
    """Return a stage with its options; its class where it needs the `Jobs` of a run."""
    return stage.type.stage if stage.type.needs_jobs else stage.type.make(stage.options)
