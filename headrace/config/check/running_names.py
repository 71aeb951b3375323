"""The names of the stages of a run whose letters can wait: those of the config, and those that their keys make."""

from collections.abc import Iterator, Sequence

from headrace.config.check.config import ConfiguredStage
from headrace.config.check.disk_buffers import has_disk_buffer, keep_name
from headrace.config.check.emitters import copy_names
from headrace.pipeline.topology.outputs import output_name


def running_names(stages: Sequence[ConfiguredStage]) -> frozenset[str]:
    """Return how they are called; of a stage with copies the copies alone: what deals out to them takes no letters."""
    return frozenset(_running(stages))


def _running(stages: Sequence[ConfiguredStage]) -> Iterator[str]:
    copies = {stage.name: copy_names(stage) for stage in stages}
    for stage in stages:
        yield from copies[stage.name]
        if has_disk_buffer(stage):
            yield from (stage.name, keep_name(stage.name))
        for to in stage.keys.subscribe_to:
            for name in copies.get(to.stage, ()) if to.output is not None else ():
                yield output_name(name, to.output or "")
