"""What every stage is given: its name, its counts, and the words with which it says what became of an event."""

from typing import ClassVar, Protocol

from headrace.ground.counts import Families
from headrace.pipeline.stage.counts import StageCounts


class Emits(Protocol):
    """The runtime's side of a stage that emits."""

    def emit_nowait(self, events: list[object]) -> None:
        """Deliver or buffer `events`."""

    def complete(self) -> None:
        """Emit nothing more."""


class Stage:
    """The base of `Producer`, `ProducerConsumer` and `Consumer`; subclass one of those.

    Two callbacks are looked for on every stage, `def` or `async def`: `init()` opens what the stage needs, in the
    running loop, before anything flows, and again after a restart, on a new object; `terminate(reason)` closes it.
    """

    per_event: ClassVar[bool] = False
    """Whether each event is handled on its own: on edges that carry messages the runtime unwraps and wraps."""

    known_discards: ClassVar[tuple[str, ...]] = ()
    """Reasons for which this stage discards events; they are counted from 0."""

    _counts: StageCounts

    @property
    def name(self) -> str:
        """The stage's name. Valid from `init` on, as all that follows."""
        return self._counts.stage

    @property
    def metrics(self) -> Families:
        """Metrics of this stage's own, which survive its restarts."""
        return self._counts.families

    def discard(self, count: int, reason: str) -> None:
        """Count `count` events that go no further, for one of a few known reasons (never one that holds data)."""
        self._counts.discard(count, reason)

    def fail(self, error: BaseException, count: int = 1) -> None:
        """Count `count` events that failed with `error`; said once per class of error. The run then ends with 1."""
        self._counts.fail(error, count)
