"""Notices what other OS processes have committed: jobs to run, and ends of jobs that are waited for here."""

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Final, Protocol

from headrace.errors import HeadraceError
from headrace.jobs.endings import Endings
from headrace.jobs.running.queue import JobQueue
from headrace.telemetry.events import LOG, log_failure

REST: Final = 4
"""So many times as long as a look took there is none, so that a file that always changes leaves time for the rest."""


class ShowsChanges(Protocol):
    """What it needs of a store; see `JobStore`."""

    change_seconds: float | None

    def has_changed(self) -> bool:
        """Return whether anything may have been committed since it was asked before."""

    async def available_queues(self) -> list[str]:
        """Return the queues in which jobs are available."""


class ChangeWatch:
    """Asks the store 25 times a second whether it has changed, and only then for what.

    Where no queue runs and no result is waited for, it asks nothing.
    """

    def __init__(self, store: ShowsChanges, queues: Mapping[str, JobQueue], endings: Endings) -> None:
        self._store = store
        self._queues = queues
        self._endings = endings
        self._wanted = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        endings.awaited = self.wake

    def wake(self) -> None:
        """Go on asking: a queue runs, or a result is waited for."""
        self._wanted.set()

    async def run(self) -> None:
        """Go on until cancelled; at once, where a store has no changes but its own."""
        seconds = self._store.change_seconds
        while seconds is not None:
            if not self._queues and not self._endings.is_awaited:
                self._wanted.clear()
                await self._wanted.wait()
            await self._change(seconds)
            await asyncio.sleep(await self._look())

    async def _change(self, seconds: float) -> None:
        """Wait until the store has changed; a timer asks, for half the price of a coroutine that sleeps."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ask_in(seconds, changed)
        try:
            await changed
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _ask_in(self, seconds: float, changed: "asyncio.Future[None]") -> None:
        self._timer = changed.get_loop().call_later(seconds, self._ask, seconds, changed)

    def _ask(self, seconds: float, changed: "asyncio.Future[None]") -> None:
        if self._store.has_changed():
            changed.set_result(None)
        else:
            self._ask_in(seconds, changed)

    async def _look(self) -> float:
        """Wake those for whom there is something; return how many seconds to rest."""
        began = perf_counter()
        try:
            for name in await self._store.available_queues() if self._queues else ():
                if name in self._queues:
                    self._queues[name].has_work()
            await self._endings.look()
        except HeadraceError as error:  # queues and waiting callers ask the store themselves, and say what is wrong
            LOG.debug("the store cannot be asked what has changed: %s", error)
        except Exception as error:  # noqa: BLE001 - without it jobs of other processes would start late for good
            log_failure(error, "the store cannot be asked what has changed")
        return REST * (perf_counter() - began)
