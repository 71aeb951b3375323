"""Prune: jobs that ended long ago are deleted, a piece at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from headrace.jobs.job import after
from headrace.jobs.stores.store import PIECE, PruneRule

PRUNE_SECONDS: Final = 30.0
"""How often it is looked for what is too old (Oban's)."""

PAUSE_SECONDS: Final = 0.05
"""Between two pieces, so that claims come first, also those of other OS processes."""

_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept of the jobs that ended in `state`: for so many seconds, and so many at most; None is without end."""

    state: Literal["completed", "cancelled", "discarded"]
    seconds: float | None = None
    count: int | None = None


KEPT: Final = (
    Keep("completed", _DAY, 1_000_000),
    Keep("cancelled", 7 * _DAY, 100_000),
    Keep("discarded", 180 * _DAY, 100_000),
)
"""What is kept unless it is said otherwise: what failed for good as long as Sidekiq keeps its dead jobs."""


class Prunes(Protocol):
    """What pruning needs of a store; see `JobStore`."""

    async def prune(self, rule: PruneRule, limit: int = PIECE) -> int:
        """Delete what the rule says, at most `limit`; return how many."""


class Prune:
    """Deletes what is no longer kept, one piece a turn."""

    name = "prune"

    def __init__(self, store: Prunes, keep: Sequence[Keep], now: Callable[[], datetime]) -> None:
        self._store = store
        self._keep = [one for one in keep if one.seconds is not None or one.count is not None]
        self._now = now
        self.pruned = 0

    async def run(self) -> float:
        """Do a piece of each rule; return in how many seconds the next is due: soon, where there may be more."""
        is_done = True
        for keep in self._keep:
            before = None if keep.seconds is None else after(self._now(), -keep.seconds)
            count = await self._store.prune(PruneRule(keep.state, before, keep.count), PIECE)
            self.pruned += count
            is_done = is_done and count < PIECE
        return PRUNE_SECONDS if is_done else PAUSE_SECONDS
