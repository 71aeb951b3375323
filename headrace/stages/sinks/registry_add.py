"""Starts the work of a registry's key for each event, once per key."""

from collections.abc import Awaitable

from typing_extensions import override

from headrace.jobs.job import NewJob
from headrace.jobs.jobs import Jobs
from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.functions import Each
from headrace.stages.jobs import RegistryCalls, RegistryOptions
from headrace.stages.options import StageType


class RegistryAdd(Consumer[object], StageType):
    """Adds the keys of a batch in one transaction; a key whose work was started, and has not failed, is unchanged.

    An event whose key does not fit the worker fails alone; a store that cannot be written crashes the stage.
    """

    Options = RegistryOptions
    takes_messages = True
    needs_jobs = True

    def __init__(self, options: RegistryOptions, jobs: Jobs) -> None:
        self._jobs = jobs
        self._calls = RegistryCalls(options, jobs)

    @override
    def init(self) -> None:
        self._calls.open()

    @override
    def handle_events(self, events: list[object]) -> Awaitable[None] | None:
        made = Each(self._calls.new, events, self.fail_event).outputs
        return self._insert(made) if made else None

    async def _insert(self, made: list[NewJob]) -> None:
        await self._jobs.insert(made)
