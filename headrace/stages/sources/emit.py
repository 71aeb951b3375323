"""A door for Python: emits what a program around the pipeline hands in."""

from typing import ClassVar

from pydantic import BaseModel

from headrace.pipeline.stage.producer import PUSH_BUFFER_BYTES, Inbox
from headrace.stages.options import Options, StageType


class EmitOptions(Options):
    """There is nothing to say."""


class Emit(Inbox[object], StageType):
    """Emits what `pipeline.stage(name).emit`, `emit_nowait` and `pipeline.emit_threadsafe` hand in.

    The caller waits while no consumer asks and the buffer is full. The stage ends when the run is drained, or when
    `handle.ref` is asked to `complete`.
    """

    Options: ClassVar[type[BaseModel]] = EmitOptions
    buffer_bytes = PUSH_BUFFER_BYTES

    def __init__(self, options: EmitOptions) -> None:
        self._options = options
