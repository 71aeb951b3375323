"""The jobs of one run: opened before its stages, waited for after them, and closed last."""

import asyncio
from typing import Final

from headrace.errors import HeadraceError
from headrace.jobs.jobs import Jobs
from headrace.telemetry.events import LOG

LOOK_SECONDS: Final = 0.05
"""How often it is looked whether any job is left, once all stages have completed."""


class JobsRun:
    """Opens and closes the jobs of a run, whoever asks first; several may wait for one end."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.are_awaited = False
        """Whether stages wait for jobs, so that those are claimed until the stages have ended."""
        self.is_open = False
        self.failure: HeadraceError | None = None
        self._has_said = False
        self.is_drained = False
        """Whether its end was asked for, and did not come by itself."""
        self._ending = asyncio.Event()
        self._door = asyncio.Lock()

    @property
    def is_ending(self) -> bool:
        """Whether nothing more is taken in."""
        return self._ending.is_set()

    async def open(self) -> None:
        """Open the store and run the queues. Raises what the store raises, and nothing is open then."""
        await self.jobs.open()
        self.is_open = True

    async def rest(self, *, is_forever: bool) -> None:
        """Wait until no job is left that could run now, or until the end begins; `is_forever` waits for that alone."""
        while not self._ending.is_set() and (is_forever or not await self._is_idle()):
            try:
                async with asyncio.timeout(None if is_forever else LOOK_SECONDS):
                    await self._ending.wait()
            except TimeoutError:
                continue

    async def _is_idle(self) -> bool:
        """Return whether no job is left; one is, for all we know, while the store cannot be asked."""
        try:
            return await self.jobs.is_idle()
        except HeadraceError as error:
            if not self._has_said:
                LOG.error("the store cannot be asked whether any job is left, and is asked again: %s", error)
            self._has_said = True
            return False

    def begin_drain(self) -> None:
        """Claim nothing more that no stage waits for, because the end was asked for."""
        self.is_drained = self.is_drained or (self.is_open and not self._ending.is_set())
        self._ending.set()
        if not self.are_awaited:
            self.jobs.hold()

    def begin_end(self) -> None:
        """Claim nothing more, from now on; what runs goes on."""
        self._ending.set()
        self.jobs.hold()

    async def close(self) -> None:
        """Give running jobs their grace, put back what is not done, close the store.

        A store that fails at that is `failure`, and closed all the same.
        """
        self.begin_end()
        async with self._door:
            if not self.is_open:
                return
            try:
                await self.jobs.close()
            except HeadraceError as error:
                LOG.error("the jobs could not be closed in good order: %s", error)
                self.failure = error
            self.is_open = False

    async def stop(self) -> None:
        """Put back what runs, at once, and close the store; a grace that is being given ends, too."""
        self.begin_end()
        self.jobs.cut_short()
        await self.close()
