"""Fakes for the maintenance: a time that tests move, a lease that they hand over, and tasks that note their runs."""

import asyncio
from collections.abc import Callable

from headrace.errors import HeadraceError
from headrace.jobs.stores.memory_store import MemoryStore


class StoreDown(HeadraceError):
    """What a store says that is told to fail."""


class TurnedTime:
    """Seconds that pass when a test says so; whoever sleeps wakes in order, each at their time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Wait until so much has passed."""
        waiting = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.seconds + seconds, waiting))
        await waiting

    async def go_on(self, seconds: float) -> None:
        """Let so much time pass, and all that wakes within it do what it does."""
        until = self.seconds + seconds
        await _settle()
        while due := [sleeper for sleeper in self._sleepers if sleeper[0] <= until and not sleeper[1].done()]:
            at, waiting = min(due, key=lambda sleeper: sleeper[0])
            self.seconds = max(self.seconds, at)
            waiting.set_result(None)
            self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].done()]
            await _settle()
        self.seconds = until


class LentLease(MemoryStore):
    """A lease in a variable: whose it is, how long, and who gave it back; it fails while it is down."""

    def __init__(self, time: TurnedTime) -> None:
        super().__init__()
        self.owner: str | None = None
        self.until = 0.0
        self.is_down = False
        self.resigned: list[str] = []
        self._time = time

    async def lead(self, name: str, node: str, seconds: float) -> bool:
        """Lend it to whoever has it, or when nobody does."""
        self._check()
        if self.owner not in (None, node) and self._time() < self.until:
            return False
        self.owner, self.until = node, self._time() + seconds
        return True

    async def resign(self, name: str, node: str) -> None:
        """Take it back."""
        self._check()
        self.resigned.append(node)
        if self.owner == node:
            self.owner = None

    def take_away(self) -> None:
        """Give it to somebody else, for long."""
        self.owner, self.until = "somebody else", self._time() + 1000.0

    def _check(self) -> None:
        if self.is_down:
            raise StoreDown


class NotedTask:
    """Notes when it runs, is due again after so many seconds, and fails, or takes longer, while it is told to."""

    def __init__(self, time: TurnedTime, seconds: float, name: str = "noted") -> None:
        self.name = name
        self.ran: list[float] = []
        self.error: Exception | None = None
        self.cancelled = 0
        self.work: Callable[[], asyncio.Future[None]] | None = None
        self._time = time
        self._seconds = seconds

    async def run(self) -> float:
        """Note the time."""
        self.ran.append(self._time())
        if self.error is not None:
            raise self.error
        if self.work is not None:
            try:
                await self.work()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return self._seconds


async def _settle() -> None:
    """Let all that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)
