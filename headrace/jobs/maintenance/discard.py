"""Discard: available jobs without an attempt left, which no claim takes, end as discarded."""

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Final, Protocol

from headrace.jobs.stores.store import PIECE

DISCARD_SECONDS: Final = 30.0
"""How often at most. No attempt of this headrace leaves such a job: a hand or another program inserted it."""

DISCARD_REST: Final = 20
"""The rest between two looks is at least so many times as long as a look: it takes 5 % of a core at most."""


class Discards(Protocol):
    """What it needs of a store; see `JobStore`."""

    async def discard_exhausted(self, limit: int) -> list[int]:
        """Discard available jobs without an attempt left, at most `limit`; return their ids."""


class Discard:
    """Discards available jobs without an attempt left; `exhausted` gets their ids."""

    name = "discard"

    def __init__(
        self,
        store: Discards,
        exhausted: Callable[[Sequence[int]], Awaitable[None]],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._store = store
        self._exhausted = exhausted
        self._clock = clock

    async def run(self) -> float:
        """Do it; return in how many seconds it is due again."""
        began = self._clock()
        ids = await self._store.discard_exhausted(PIECE)
        seconds = self._clock() - began
        await self._exhausted(ids)
        return 0.0 if len(ids) == PIECE else max(DISCARD_SECONDS, DISCARD_REST * seconds)
