"""A source with a buffer on disk: what it emits is kept, and others subscribe to what reads the buffer."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from headrace.config.check.config import ConfiguredStage
from headrace.config.check.disk_buffers import keep_name, read_name
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.topology import Topology
from headrace.stages.edges.edge_stages import KeepEvents, ReadEvents
from headrace.stages.edges.sqlite_log import EventLog
from headrace.stages.sources.receive_http import ReceiveHttp

MOST_AHEAD: Final = 10_000
"""Events that a source holds in memory at most while its buffer takes no more: of those a crash loses all."""


def add_buffered(
    topology: Topology, stage: ConfiguredStage, make: Callable[[], Stage], settings: StageSettings
) -> None:
    """Add a source, the stage that writes its buffer, and the one that reads it, which has the source's dispatcher."""
    buffer = stage.keys.buffer
    log = EventLog(buffer.path or "", buffer.bounds())
    ahead = min(buffer.max_events or MOST_AHEAD, MOST_AHEAD)
    topology.add(stage.name, partial(_source, make), settings=replace(settings, dispatcher="demand", buffer_size=ahead))
    topology.add(keep_name(stage.name), partial(KeepEvents, log, buffer.when_full or "block"), subscribe_to=stage.name)
    topology.add(read_name(stage.name), partial(ReadEvents, log), settings=StageSettings(settings.dispatcher))


def _source(make: Callable[[], Stage]) -> Stage:
    source = make()
    if isinstance(source, ReceiveHttp):
        source.answer_when_kept()
    return source
