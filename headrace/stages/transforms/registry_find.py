"""Adds the present entry of a registry to each event."""

import asyncio
from collections.abc import Mapping

from pydantic import Field
from typing_extensions import override

from headrace.jobs.jobs import Jobs
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.errors import BadEvent
from headrace.stages.functions import data_of, derived
from headrace.stages.jobs import RegistryCalls, RegistryOptions, as_values
from headrace.stages.options import StageType


class RegistryFindOptions(RegistryOptions):
    """The registry, the key, and the field of the answer."""

    into: str = Field(default="result", min_length=1, description="The field of the event for the answer.")


class RegistryFind(ProducerConsumer[object, object], StageType):
    """Emits a copy of each event with an answer, without waiting for running work.

    The answer is `{state: found, value, at}`, `{state: pending, progress}`, `{state: failed, error}` or
    `{state: "not found"}`. An event that is no mapping, or whose key does not fit the worker, fails alone.
    """

    Options = RegistryFindOptions
    takes_messages = True
    needs_jobs = True

    def __init__(self, options: RegistryFindOptions, jobs: Jobs) -> None:
        self._into = options.into
        self._calls = RegistryCalls(options, jobs)

    @override
    def init(self) -> None:
        self._calls.open()

    @override
    async def handle_events(self, events: list[object]) -> list[object]:
        found: dict[int, object] = {}
        async with asyncio.TaskGroup() as group:
            for position, event in enumerate(events):
                group.create_task(self._find(position, event, found))
        return [found[position] for position in sorted(found)]

    async def _find(self, position: int, event: object, found: dict[int, object]) -> None:
        try:
            found[position] = derived(event, await self._answered(data_of(event)))
        except Exception as error:  # noqa: BLE001 - it fails this event alone
            self.fail_event(event, error)

    async def _answered(self, data: object) -> object:
        if not isinstance(data, Mapping):
            why = f"`registry_find` needs events that are mappings, and this one is of type {type(data).__name__}"
            raise BadEvent(why)
        return {**data, self._into: as_values(await self._calls.find(data))}
