"""The keys of a stage's buffer: what it holds of events nobody has asked for, and what becomes of more."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from headrace.config.text.findings import Fault, Span
from headrace.config.text.tree import Found, child
from headrace.pipeline.demand.buffer import Keep
from headrace.stages.edges.edge import LogBounds, WhenFull
from headrace.stages.options import CountField, Keys, PathField, SizeField, refused

DISK_EVENTS: Final = 10_000_000
DISK_BYTES: Final = 1024 * 1024 * 1024
"""What a buffer on disk holds unless told otherwise: as much as 1 GiB."""

_KEPT: Final[dict[WhenFull, Keep | None]] = {
    "block": "all",
    "drop_newest": "first",
    "drop_oldest": "last",
    "error": None,
}


class BufferKeys(Keys):
    """What a stage keeps of events that nobody has asked for; a source may do so on disk."""

    kind: Literal["memory", "sqlite"] = "memory"
    path: PathField | None = None
    max_events: Annotated[CountField, Field(ge=0)] | None = None
    max_bytes: Annotated[SizeField, Field(ge=1)] | None = None
    when_full: WhenFull | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "BufferKeys":
        if self.kind == "sqlite":
            if self.path is None:
                raise refused("missing_key", "a buffer of kind sqlite needs `path:`, its file")
            if self.max_events == 0:
                raise refused(
                    "bad_value", "must be 1 or more for a buffer on disk", is_predicate=True, path=["max_events"]
                )
            return self
        if self.path is not None:
            raise refused("misplaced_key", "`path` is for a buffer of kind sqlite", path=["path"])
        return self

    @property
    def keep(self) -> Keep | None:
        """What a buffer in memory keeps; None leaves that to the stage."""
        return None if self.when_full is None else _KEPT[self.when_full]

    def bounds(self) -> LogBounds:
        """Return how much a buffer on disk holds."""
        return LogBounds(self.max_events or DISK_EVENTS, self.max_bytes or DISK_BYTES)


def buffer_faults(kind: str, buffer: BufferKeys, found: Found, *, is_partitioned: bool) -> Iterator[tuple[Span, Fault]]:
    """Yield what only the buffer of a source can be told, and not one that deals out to partitions."""
    place = child(found, "buffer")
    if place is None:
        return
    told = child(place, "max_bytes")
    if is_partitioned and buffer.kind == "memory" and told is not None:
        message = "with partitions events wait in those, and `max_queue` of the dispatcher bounds them: leave it out"
        yield told.name, Fault("misplaced-key", message, "max_bytes")
    if kind != "producer_consumer":
        return
    if buffer.kind == "sqlite":
        message = "only a source has a buffer on disk: what this stage emits comes again from its source"
        yield place.name, Fault("misplaced-key", message, "buffer")
        return
    for key, is_meant in (("max_bytes", True), ("when_full", buffer.when_full in ("block", "error"))):
        told = child(place, key)
        if told is not None and is_meant:
            message = "only a source is held up or told by its buffer: this stage takes in no more than is asked of it"
            yield told.name, Fault("misplaced-key", message, key)
