"""Connects a stage to a database that may be down for a while: the stage starts, and waits for it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.counts import ConnectionStatus
from headrace.stages.sql.database import Database, DatabaseFailed, DatabaseUnreachable, Insert, SqlRow
from headrace.telemetry.events import LOG

T = TypeVar("T")

BACKOFF: Final = Retry(backoff_seconds=0.1, max_backoff_seconds=5.0)
"""How long to wait between attempts to reach a database."""

FIRST_TRY_SECONDS: Final = 3.0
"""How long the first attempt may take, since the sources of the run wait for the start of this stage."""

WAITS: Final = "stage %r waits: %s"


class DatabaseLink:
    """Connects to a database, sets its status, and logs each outage once.

    `write` waits until the database is reached for the first time. Later it raises, and `retry` applies.
    """

    def __init__(
        self, database: Database, status: ConnectionStatus, stage: str, chance: Callable[[], float] = random.random
    ) -> None:
        """`chance` returns random numbers from 0 to 1, for the jitter."""
        self._database = database
        self._status = status
        self._stage = stage
        self._chance = chance
        self._turn = asyncio.Lock()
        self._was_reached = False
        self._attempts = 0
        self._down_since: float | None = None

    @property
    def is_unreachable(self) -> bool:
        """Whether the last attempt did not reach the database."""
        return self._down_since is not None

    def wait_seconds(self) -> float:
        """Return how long to wait before the next attempt."""
        return BACKOFF.seconds(self._attempts, self._chance())

    async def try_first(self) -> None:
        """Connect for the first time, within `FIRST_TRY_SECONDS`. Raises `DatabaseFailed`, as `try_to_open` does."""
        try:
            async with asyncio.timeout(FIRST_TRY_SECONDS):
                await self.try_to_open()
        except TimeoutError:
            why = f"no answer within {FIRST_TRY_SECONDS:g} s"
            self._failed(DatabaseUnreachable(self._database.called, why))

    async def try_to_open(self) -> None:
        """Connect if the database can be reached. Raises `DatabaseFailed` when it answers and cannot be used."""
        with suppress(DatabaseUnreachable):  # the status shows it, and the next attempt follows soon
            await self._watched(self._database.open())

    async def write(self, insert: Insert, rows: Sequence[Sequence[object]]) -> dict[int, str]:
        """Write rows, once the database has been reached. Raises `DatabaseFailed`."""
        if not self._was_reached:
            await self._wait_until_reached()
        text = "stage %r cannot write, and its batch fails unless `retry` repeats it: %s"
        return await self._watched(self._database.write(insert, rows), text)

    async def read(self, query: str, values: SqlRow) -> list[dict[str, object]]:
        """Return the rows of a query; wait while it cannot be reached. Other errors raise `DatabaseFailed`."""
        while True:
            if not self._was_reached:
                await self._wait_until_reached()
            try:
                return await self._watched(self._database.read(query, values))
            except DatabaseUnreachable:
                self._was_reached = False

    async def _wait_until_reached(self) -> None:
        """Try to connect until it succeeds. When cancelled, nothing has changed."""
        async with self._turn:
            while not self._was_reached:
                if self.is_unreachable:
                    await asyncio.sleep(self.wait_seconds())
                await self.try_to_open()

    async def _watched(self, work: Awaitable[T], text: str = WAITS) -> T:
        """Await a call of the database, and update the status; log `text` when an outage begins."""
        try:
            result = await work
        except DatabaseFailed as error:
            self._failed(error, text)
            raise
        self._went_through()
        return result

    def _failed(self, error: DatabaseFailed, text: str = WAITS) -> None:
        self._status.down(error)
        if not isinstance(error, DatabaseUnreachable):
            return
        self._attempts += 1
        if self._down_since is None:
            self._down_since = asyncio.get_running_loop().time()
            LOG.warning(text, self._stage, error)

    def _went_through(self) -> None:
        self._was_reached = True
        self._attempts = 0
        self._status.up()
        if self._down_since is not None:
            seconds = asyncio.get_running_loop().time() - self._down_since
            self._down_since = None
            LOG.warning(
                "stage %r goes on: the database %s can be used again after %.1f s",
                self._stage,
                self._database.called,
                seconds,
            )
