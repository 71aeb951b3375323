"""Emits the events that Python code passes in."""

from headrace.pipeline.stage.producer import PUSH_BUFFER_BYTES, Inbox
from headrace.stages.options import Options, StageType


class EmitOptions(Options):
    """No options."""


class Emit(Inbox[object], StageType):
    """Emits the events passed to `pipeline.stage(name).emit`, `emit_nowait` and `pipeline.emit_threadsafe`.

    `emit` waits while there is no demand and the buffer is full. The stage ends when the run drains, or when
    `handle.ref` is called to `complete`.
    """

    Options = EmitOptions
    buffer_bytes = PUSH_BUFFER_BYTES

    def __init__(self, options: EmitOptions) -> None:
        self._options = options
