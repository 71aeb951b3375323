"""A door for Python: emits what a program around the pipeline hands in."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from headrace.pipeline.stage.producer import PUSH_BUFFER_BYTES, Inbox


class EmitOptions(BaseModel):
    """There is nothing to say."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Emit(Inbox[object]):
    """Emits what `pipeline.stage(name).emit`, `emit_nowait` and `pipeline.emit_threadsafe` hand in.

    Whoever hands in waits while nobody asks and the buffer is full. It ends when the run is drained, or when
    `handle.ref` is told to `complete`.
    """

    Options: ClassVar[type[BaseModel]] = EmitOptions
    buffer_bytes = PUSH_BUFFER_BYTES

    def __init__(self, options: EmitOptions) -> None:
        self._options = options
