"""Heeds what was said elsewhere about queues while they run here: that they pause, go on, or have another limit."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from headrace.jobs.running.queue import JobQueue
from headrace.jobs.stores.store import QueueSettings


class KeepsSettings(Protocol):
    """What heeding needs of a store; see `JobStore`."""

    async def queue_settings(self) -> list[QueueSettings]:
        """Return what is kept about queues."""


class Heeding:
    """Applies what is kept about queues when it has changed, and only then: what was said here stands until it is."""

    def __init__(self, store: KeepsSettings, limits: Mapping[str, int]) -> None:
        """`limits` are those of the config, for queues of which nothing else is kept."""
        self._store = store
        self._limits = dict(limits)
        self._heard: dict[str, QueueSettings] = {}

    def hear(self, said: Sequence[QueueSettings]) -> None:
        """Take note of what the queues begin with."""
        self._heard = {one.queue: one for one in said}

    async def look(self, queues: Mapping[str, JobQueue]) -> None:
        """Apply what has changed. Raises what the store raises."""
        said = {one.queue: one for one in await self._store.queue_settings()}
        for name, limit in self._limits.items():
            queue, before, now = queues.get(name), self._heard.get(name), said.get(name)
            if queue is not None and before != now:
                self._apply(queue, now or QueueSettings(name), limit)
        self._heard = said

    def _apply(self, queue: JobQueue, said: QueueSettings, limit: int) -> None:
        queue.scale(said.limit or limit)
        if said.is_paused:
            queue.pause()
        else:
            queue.resume()
