"""The side outputs of a stage: producers of their own, into which it passes events beside those that it emits.

Every stage that takes events has one, `errors`, for what it gives up; `ProducerConsumer.side_outputs` names others.
"""

from collections.abc import Mapping
from dataclasses import replace

from headrace.errors import GraphError
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.graph import hint
from headrace.pipeline.topology.link import StageSpec
from headrace.pipeline.topology.output_names import ERRORS, output_name, side_names


def with_side_outputs(specs: Mapping[str, StageSpec]) -> dict[str, StageSpec]:
    """Return the stages, and one more for each side output to which a stage subscribes.

    Raises `GraphError` for the errors of a stage that does not exist, or that takes no events, and for a taken name.
    """
    found: dict[str, StageSpec] = {}
    for spec in specs.values():
        found[spec.name] = replace(spec, subscribe_to=tuple(_source(to, specs) for to in spec.subscribe_to))
    for spec in specs.values():
        for to in spec.subscribe_to:
            if _is_side(to, specs):
                side = _side_spec(spec.name, to, specs)
                found.setdefault(side.name, side)
    return found


def _is_side(to: SubscribeTo, specs: Mapping[str, StageSpec]) -> bool:
    producer = specs.get(to.producer)
    return to.output == ERRORS or (producer is not None and to.output in side_names(producer.first))


def _source(to: SubscribeTo, specs: Mapping[str, StageSpec]) -> SubscribeTo:
    if to.output is None or not _is_side(to, specs):
        return to
    return replace(to, producer=output_name(to.producer, to.output), output=None)


def _side_spec(consumer: str, to: SubscribeTo, specs: Mapping[str, StageSpec]) -> StageSpec:
    stage, output = to.producer, to.output or ""
    of, name = specs.get(stage), output_name(stage, output)
    if of is None:
        raise GraphError(consumer, f"subscribes to {stage!r}, which does not exist; {hint(stage, specs)}")
    if of.kind == "producer":
        raise GraphError(consumer, f"subscribes to the errors of {stage!r}, which is a source and handles no events")
    if name in specs:
        raise GraphError(stage, f"has an output {output!r}, and there is a stage {name!r}: rename one of them")
    dispatcher = "broadcast" if of.settings.dispatcher == "broadcast" else "demand"
    settings = StageSettings(dispatcher, dead_letters=of.settings.dead_letters)
    return StageSpec(name, Inbox, Inbox(), (), settings, side_of=stage, side=output)
