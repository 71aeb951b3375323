"""The stages that a config's keys make beside those that it names: none may take the name, or the file, of another."""

import os
from collections.abc import Iterator, Mapping, Sequence

from headrace.config.check.config import ConfiguredStage
from headrace.config.check.disk_buffers import has_disk_buffer, keep_name
from headrace.config.check.emitters import copy_names
from headrace.config.text.findings import Fault, Span
from headrace.config.text.tree import Found, child
from headrace.pipeline.topology.outputs import output_name


def made_faults(stages: Sequence[ConfiguredStage], places: Mapping[str, Found]) -> Iterator[tuple[Span, Fault]]:
    """Yield the stages that are called as one which another's keys make, and buffers in one file."""
    copies = {stage.name: copy_names(stage) for stage in stages}
    made = {name: (stage, why) for stage in stages for name, why in _made(stage, copies)}
    for stage in stages:
        if stage.name in made:
            other, why = made[stage.name]
            message = f"{other.name} has a stage of this name made, {why}: give one of the two another name"
            yield places[stage.name].name, Fault("duplicate-name", message, stage.name)
    yield from _files(stages, places)


def _made(stage: ConfiguredStage, copies: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield the names of the stages that one stage's keys make, each with what for."""
    if has_disk_buffer(stage):
        yield keep_name(stage.name), "which writes its buffer"
        yield from ((name, "which reads its buffer") for name in copies[stage.name])
    elif stage.keys.partition_by is not None:
        yield from ((name, "one of its copies") for name in copies[stage.name])
    for to in stage.keys.subscribe_to:
        for name in copies.get(to.stage, ()) if to.output is not None else ():
            yield output_name(name, to.output or ""), f"for the output {to.output} of {to.stage}"


def _files(stages: Sequence[ConfiguredStage], places: Mapping[str, Found]) -> Iterator[tuple[Span, Fault]]:
    first: dict[str, str] = {}
    for stage in filter(has_disk_buffer, stages):
        path = os.path.realpath(stage.keys.buffer.path or "")
        other = first.setdefault(path, stage.name)
        if other != stage.name:
            place = child(places[stage.name], "buffer") or places[stage.name]
            message = f"{other} has its buffer in the same file, and would emit the events of both: name another one"
            yield (child(place, "path") or place).node.span, Fault("bad-value", message, stage.keys.buffer.path)
