"""The `errors` output of a stage: a producer of its own, into which the stage passes what it gives up."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from headrace.ground.errors import GraphError
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.subscription import SubscribeTo
from headrace.pipeline.topology.graph import hint
from headrace.pipeline.topology.link import StageSpec

ERRORS: Final = "errors"
"""What the output is called."""


def with_errors_outputs(specs: Mapping[str, StageSpec]) -> dict[str, StageSpec]:
    """Return the stages, and one more for each errors output to which a stage subscribes.

    Raises `GraphError` for the output of a stage that does not exist, or that takes no events.
    """
    found: dict[str, StageSpec] = {}
    for spec in specs.values():
        found[spec.name] = replace(spec, subscribe_to=tuple(map(_source, spec.subscribe_to)))
    for spec in specs.values():
        for to in spec.subscribe_to:
            if to.output == ERRORS:
                found.setdefault(errors_name(to.producer), _errors_spec(spec.name, to.producer, specs))
    return found


def errors_name(stage: str) -> str:
    """Return what the errors output of a stage is called as a stage of its own.

    >>> errors_name("priced")
    'priced.errors'
    """
    return f"{stage}.{ERRORS}"


def _source(to: SubscribeTo) -> SubscribeTo:
    return replace(to, producer=errors_name(to.producer), output=None) if to.output == ERRORS else to


def _errors_spec(consumer: str, stage: str, specs: Mapping[str, StageSpec]) -> StageSpec:
    of = specs.get(stage)
    if of is None:
        raise GraphError(consumer, f"subscribes to {stage!r}, which does not exist; {hint(stage, specs)}")
    if of.kind == "producer":
        raise GraphError(consumer, f"subscribes to the errors of {stage!r}, which is a source and handles no events")
    dispatcher = "broadcast" if of.settings.dispatcher == "broadcast" else "demand"
    return StageSpec(errors_name(stage), Inbox, Inbox(), (), StageSettings(dispatcher), errors_of=stage)
