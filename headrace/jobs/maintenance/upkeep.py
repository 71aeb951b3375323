"""Runs the chores of the upkeep while this OS process is the leader, and at no other time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from headrace.errors import HeadraceError, short_repr
from headrace.jobs.maintenance.leader import RENEW_SECONDS, Leader
from headrace.telemetry.events import LOG

AGAIN_SECONDS: Final = 1.0
"""How long a chore waits after the store failed it, before it tries again."""


class Chore(Protocol):
    """One thing that is done again and again."""

    @property
    def name(self) -> str:
        """What it is called in the log."""

    async def run(self) -> float:
        """Do it; return in how many seconds it is due again. May be cancelled at any await."""


class Upkeep:
    """The chores of one OS process, each on its own: a long one makes no other one late.

    Run it as a task, and cancel that to stop: the lease is given back, and another process leads at once.
    """

    def __init__(
        self, leader: Leader, chores: Sequence[Chore], *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._leader = leader
        self._chores = chores
        self._sleep = sleep

    async def run(self) -> None:
        """Lead whenever nobody else does, until cancelled."""
        try:
            while True:
                if await self._holds():
                    await self._lead()
                await self._sleep(RENEW_SECONDS)
        finally:
            await self._resign()

    async def _lead(self) -> None:
        """Do the chores until the lease is lost; then none of them goes on."""
        LOG.info("%s does the upkeep of the jobs from now on", self._leader.node)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._go_on(chore), name=f"{chore.name} of jobs") for chore in self._chores]
            await self._sleep(RENEW_SECONDS)
            while await self._holds():
                await self._sleep(RENEW_SECONDS)
            for task in tasks:
                task.cancel()
        LOG.warning("%s no longer does the upkeep of the jobs: its lease is another one's", self._leader.node)

    async def _go_on(self, chore: Chore) -> None:
        """Do a chore whenever it is due, whatever becomes of it: without it no job would be staged or rescued any more.

        What the store cannot do is said once, until it can again.
        """
        said: str | None = None
        while True:
            seconds = AGAIN_SECONDS
            if self._leader.is_leading:
                try:
                    seconds = await chore.run()
                    said = None
                except HeadraceError as error:
                    if str(error) != said:
                        said = str(error)
                        LOG.error("the chore %r of the jobs failed, and is tried again: %s", chore.name, error)
                except Exception as error:  # noqa: BLE001 - the upkeep goes on
                    if short_repr(error) != said:
                        said = short_repr(error)
                        LOG.exception("the chore %r of the jobs broke, and is tried again", chore.name)
            await self._sleep(seconds)

    async def _holds(self) -> bool:
        """Renew the lease; while the store cannot be asked, it is ours until it runs out."""
        try:
            return await self._leader.hold()
        except HeadraceError as error:
            LOG.error("%s cannot ask who does the upkeep of the jobs: %s", self._leader.node, error)
            return self._leader.is_leading

    async def _resign(self) -> None:
        try:
            await self._leader.resign()
        except HeadraceError as error:
            LOG.warning("%s could not give back the upkeep of the jobs: %s", self._leader.node, error)
