"""How the events of a stage are handled: how many at a time, and where."""

from dataclasses import dataclass
from typing import Final, Literal

from headrace.pipeline.stage.stage import Stage

_BATCH_BLOCKS: Final = "a `def` on the loop holds it until it returns; leave it out, or make that an `async def`"
_BLOCKS: Final = "a `def` on the loop holds it until it returns; make it an `async def`, or use executor thread"

Place = Literal["inline", "thread", "subprocess"]
"""On the event loop, in a thread, or in an OS process."""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many events of a stage are handled at a time, where, and whether outputs keep the order of their events.

    Of a stage that handles batches as a whole: how many batches.
    """

    limit: int = 1
    place: Place = "inline"
    is_ordered: bool = True

    @property
    def is_plain(self) -> bool:
        """Whether batches are handled one after another on the loop."""
        return self.limit == 1 and self.place == "inline"

    def fault(self, stage: Stage, *, has_timeout: bool) -> str | None:
        """Return why a stage cannot be handled so, in words that follow its name; None if it can."""
        if self.is_plain:
            is_kept = not has_timeout or stage.awaits()
            return None if is_kept else f"has a timeout that cannot be kept: {_BLOCKS}"
        if not stage.per_event and self.place != "inline":
            return "handles batches as a whole, so no executor is for it: leave that out"
        if self.place == "subprocess" and stage.offload() is None:
            return "has no function that OS processes could run: use executor thread, or a map with `call`"
        if self.place == "inline" and not stage.awaits():
            remedy = _BLOCKS if stage.per_event else _BATCH_BLOCKS
            return f"has a concurrency of {self.limit}, which would change nothing: {remedy}"
        return None


PLAIN_CONCURRENCY: Final = Concurrency()
"""One batch after another, on the loop."""
