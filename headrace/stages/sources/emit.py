"""A door for Python: emits what a program around the pipeline hands in."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from headrace.pipeline.stage.producer import PUSH_BUFFER_BYTES, Inbox


class EmitOptions(BaseModel):
    """There is nothing to say."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Emit(Inbox[object]):
    """Emits what `pipeline.stage(name).emit`, `emit_nowait` and `pipeline.emit_threadsafe` hand in.

    The caller waits while no consumer asks and the buffer is full. The stage ends when the run is drained, or when
    `handle.ref` is asked to `complete`.
    """

    Options: ClassVar[type[BaseModel]] = EmitOptions
    buffer_bytes = PUSH_BUFFER_BYTES

    def __init__(self, options: EmitOptions) -> None:
        self._options = options
