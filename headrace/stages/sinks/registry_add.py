"""Starts the work of a registry's key for each event, once per key."""

from collections.abc import Awaitable
from typing import ClassVar

from pydantic import BaseModel
from typing_extensions import override

from headrace.jobs.job import NewJob
from headrace.jobs.jobs import Jobs
from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.functions import Each
from headrace.stages.jobs import RegistryKey, RegistryOptions, registry_of
from headrace.stages.options import StageType


class RegistryAdd(Consumer[object], StageType):
    """Adds the keys of a batch in one transaction; a key whose work was started, and has not failed, is unchanged.

    An event whose key does not fit the worker fails alone; a store that cannot be written crashes the stage.
    """

    Options: ClassVar[type[BaseModel]] = RegistryOptions
    takes_messages: ClassVar[bool] = True
    needs_jobs: ClassVar[bool] = True

    def __init__(self, options: RegistryOptions, jobs: Jobs) -> None:
        self._options = options
        self._jobs = jobs
        self._key = RegistryKey(options.key, options.args)

    @override
    def init(self) -> None:
        self._registry = registry_of(self._jobs, self._options.worker, self._options.expires_in)

    @override
    def handle_events(self, events: list[object]) -> Awaitable[None] | None:
        made = Each(self._new, events, self.fail_event).outputs
        return self._insert(made) if made else None

    def _new(self, event: object) -> NewJob:
        args, kwargs = self._key(event)
        return self._registry.new(*args, **kwargs)

    async def _insert(self, made: list[NewJob]) -> None:
        await self._jobs.insert(made)
