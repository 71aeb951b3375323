"""Names of the stages that config keys create: copies, edges, outputs."""

import os
from collections.abc import Iterator, Mapping, Sequence

from headrace.config.check.config import ConfiguredStage
from headrace.config.text.findings import Problem, TextSpan
from headrace.config.text.tree import LocatedNode, child
from headrace.pipeline.topology.graph import output_name


def has_disk_buffer(stage: ConfiguredStage) -> bool:
    """Return whether a stage has its buffer on disk."""
    return stage.keys.buffer.kind == "sqlite"


def keep_name(name: str) -> str:
    """Return the name of the stage that writes the buffer of another.

    >>> keep_name("hits")
    'hits.kept'
    """
    return f"{name}.kept"


def read_name(name: str) -> str:
    """Return the name of the stage that reads the buffer of another.

    >>> read_name("hits")
    'hits.buffer'
    """
    return f"{name}.buffer"


def expanded_names(stage: ConfiguredStage) -> list[str]:
    """Return the stages that emit the events of a stage of the config: itself, its copies, or its buffer."""
    if has_disk_buffer(stage):
        return [read_name(stage.name)]
    if stage.keys.partition_by is None:
        return [stage.name]
    return [f"{stage.name}.{number}" for number in range(1, stage.keys.concurrency + 1)]


def name_problems(
    stages: Sequence[ConfiguredStage], locations: Mapping[str, LocatedNode]
) -> Iterator[tuple[TextSpan, Problem]]:
    """Yield stages with the name of a stage that another's keys create, and buffers that share a file."""
    copies = {stage.name: expanded_names(stage) for stage in stages}
    made = {name: (stage, why) for stage in stages for name, why in _made(stage, copies)}
    for stage in stages:
        if stage.name in made:
            other, why = made[stage.name]
            message = f"{other.name} creates a stage of this name, {why}: give one of the two another name"
            yield locations[stage.name].name, Problem("duplicate-name", message, stage.name)
    yield from _files(stages, locations)


def _made(stage: ConfiguredStage, copies: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield the names of the stages that one stage's keys create, each with the reason."""
    if has_disk_buffer(stage):
        yield keep_name(stage.name), "which writes its buffer"
        yield from ((name, "which reads its buffer") for name in copies[stage.name])
    elif stage.keys.partition_by is not None:
        yield from ((name, "one of its copies") for name in copies[stage.name])
    for to in stage.keys.subscribe_to:
        for name in copies.get(to.stage, ()) if to.output is not None else ():
            yield output_name(name, to.output or ""), f"for the output {to.output} of {to.stage}"


def _files(
    stages: Sequence[ConfiguredStage], locations: Mapping[str, LocatedNode]
) -> Iterator[tuple[TextSpan, Problem]]:
    first: dict[str, str] = {}
    for stage in filter(has_disk_buffer, stages):
        path = os.path.realpath(stage.keys.buffer.path or "")
        other = first.setdefault(path, stage.name)
        if other != stage.name:
            location = child(locations[stage.name], "buffer") or locations[stage.name]
            message = f"{other} has its buffer in the same file, and would emit the events of both: name another one"
            yield (child(location, "path") or location).node.span, Problem("bad-value", message, stage.keys.buffer.path)


def stage_names(stages: Sequence[ConfiguredStage]) -> frozenset[str]:
    """Return the names of the stages of a run that take events: of a stage with copies only the copies."""
    return frozenset(_running(stages))


def _running(stages: Sequence[ConfiguredStage]) -> Iterator[str]:
    copies = {stage.name: expanded_names(stage) for stage in stages}
    for stage in stages:
        yield from copies[stage.name]
        if has_disk_buffer(stage):
            yield from (stage.name, keep_name(stage.name))
        for to in stage.keys.subscribe_to:
            for name in copies.get(to.stage, ()) if to.output is not None else ():
                yield output_name(name, to.output or "")
