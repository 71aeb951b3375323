"""Which of the OS processes that share a store does the upkeep: a lease, renewed while it lives."""

import time
from collections.abc import Callable
from typing import Final, Protocol

LEASE_SECONDS: Final = 10.0
"""How long a leader that died is waited for. Jobs that are due wait as long then, so it is less than Oban's 30 s."""

RENEW_SECONDS: Final = 3.0
"""How often the leader renews its lease, and the others ask for it."""


class Leads(Protocol):
    """What a leader needs of a store; see `JobStore`."""

    async def lead(self, name: str, node: str, seconds: float) -> bool:
        """Make `node` the leader, unless another one is; return whether it is."""

    async def resign(self, name: str, node: str) -> None:
        """Let another one lead."""


class Leader:
    """The lease as one OS process has it. `node` names the process, among all that use the store."""

    def __init__(
        self, store: Leads, node: str, *, name: str = "headrace", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` counts seconds and is never set: a lease is not made longer by who sets the time of day."""
        self.node = node
        self.name = name
        self._store = store
        self._clock = clock
        self._leads_until: float | None = None

    @property
    def is_leading(self) -> bool:
        """Whether the lease is ours and has not run out: it does so by itself when nobody renews it."""
        return self._leads_until is not None and self._clock() < self._leads_until

    async def hold(self) -> bool:
        """Take the lease or renew it; return whether it is ours.

        An answer that came too late, say behind a long write, proves nothing: then it asks again. On cancellation, and
        when the store raises, what we have runs out in its time.
        """
        while True:
            asked_at = self._clock()
            is_ours = await self._store.lead(self.name, self.node, LEASE_SECONDS)
            self._leads_until = asked_at + LEASE_SECONDS if is_ours else None
            if self.is_leading or not is_ours:
                return is_ours

    async def resign(self) -> None:
        """Let another one lead, at once."""
        if self._leads_until is not None:
            self._leads_until = None
            await self._store.resign(self.name, self.node)
