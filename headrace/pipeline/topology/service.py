"""The `Service` protocol and `Services`, which opens, drains and closes them in order."""

import asyncio
from collections.abc import Awaitable
from typing import Final, Protocol, TypeVar

from headrace.errors import HeadraceError, ServiceTimeout
from headrace.pipeline.failure import DeadLetterHandler
from headrace.pipeline.topology.run import Run
from headrace.telemetry.events import LOG

OPEN_SECONDS: Final = 300.0
"""How long a service may take to open and to attach: it may have to migrate a large file first."""

STOP_SECONDS: Final = 60.0
"""How long a service may take to stop."""

IDLE_SECONDS: Final = 60.0
"""How long a service may take to answer whether it is idle; one that does not answer counts as busy."""

CHECK_SECONDS: Final = 0.05
"""How often services are asked whether they are idle, once all stages have completed."""


class Service(Protocol):
    """Something that a run opens, drains and closes beside its stages.

    Each step has a deadline. A step that misses it is cancelled.
    """

    @property
    def name(self) -> str:
        """The name of the service in log lines and errors."""

    @property
    def has_own_work(self) -> bool:
        """Whether the service works without stages, so that a run has completed only when the service is idle."""

    @property
    def close_seconds(self) -> float:
        """How long `close` may take, in seconds."""

    @property
    def failure(self) -> HeadraceError | None:
        """The error that makes the run fail, such as a store that could not be closed."""

    @property
    def dead_letter_handler(self) -> DeadLetterHandler | None:
        """Stores events that failed for good; None for a service that stores none."""

    async def open(self) -> None:
        """Called before the stages are made. When it raises, nothing of the service is open."""

    async def attach(self, run: Run) -> None:
        """Called before the stages of a run start."""

    def drain(self) -> None:
        """Take in nothing new. Called before the stages drain."""

    async def is_idle(self) -> bool:
        """Return whether nothing is left to do now. Called after the stages have completed."""

    async def close(self) -> None:
        """Finish work in progress, and close. Called after the stages have ended; a second call does nothing."""

    async def stop(self) -> None:
        """Close without waiting for work in progress. It also ends a `close` that waits."""


S = TypeVar("S")


class Services:
    """The services of one topology, in the order in which they were added."""

    def __init__(self) -> None:
        self._services: list[Service] = []
        self._open: list[Service] = []
        self._is_draining = asyncio.Event()
        self._missed: ServiceTimeout | None = None
        self._is_unanswered = False
        self.was_drained = False
        """Whether a drain interrupted a service with work of its own."""

    @property
    def dead_letter_handler(self) -> DeadLetterHandler | None:
        """The handler of the first service that stores events that failed for good."""
        handlers = (service.dead_letter_handler for service in self._services)
        return next((handler for handler in handlers if handler is not None), None)

    @property
    def has_own_work(self) -> bool:
        """Whether a service works without stages."""
        return any(service.has_own_work for service in self._services)

    @property
    def is_working(self) -> bool:
        """Whether a service that works without stages is open."""
        return any(service.has_own_work for service in self._open)

    @property
    def is_draining(self) -> bool:
        """Whether the services take in nothing new."""
        return self._is_draining.is_set()

    @property
    def failure(self) -> HeadraceError | None:
        """The first failure of a service, or the first deadline that one missed."""
        failures = (service.failure for service in self._services)
        return next((failure for failure in failures if failure is not None), self._missed)

    def add(self, service: Service) -> None:
        """Add a service behind the others."""
        self._services.append(service)

    def find(self, kind: type[S]) -> S | None:
        """Return the first service of a class."""
        return next((service for service in self._services if isinstance(service, kind)), None)

    async def open(self) -> None:
        """Open all services in order. When one raises, those before it are stopped."""
        for service in self._services:
            try:
                await self._within(OPEN_SECONDS, service, "open", service.open())
            except BaseException:
                await self.stop()
                raise
            self._open.append(service)

    async def attach(self, run: Run) -> None:
        """Attach all services to a run, in order."""
        for service in self._services:
            await self._within(OPEN_SECONDS, service, "attach", service.attach(run))

    def drain(self) -> None:
        """Drain all services, in order."""
        self.was_drained = self.was_drained or (self.is_working and not self.is_draining)
        self._is_draining.set()
        for service in self._services:
            service.drain()

    async def rest(self, *, is_forever: bool) -> None:
        """Wait until all services are idle or the end of the run begins; `is_forever` waits for that end alone."""
        while not self.is_draining and (is_forever or not await self._are_idle()):
            try:
                async with asyncio.timeout(None if is_forever else CHECK_SECONDS):
                    await self._is_draining.wait()
            except TimeoutError:
                continue

    async def _are_idle(self) -> bool:
        for service in self._open:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    is_idle = await service.is_idle()
            except TimeoutError:
                if not self._is_unanswered:
                    LOG.error("%s; it is asked again", ServiceTimeout(service.name, "answer", IDLE_SECONDS))
                self._is_unanswered = True
                return False
            if not is_idle:
                return False
        return True

    async def close(self) -> None:
        """Close all services, the last one first. A second call does nothing."""
        self._is_draining.set()
        for service in self._open[::-1]:
            try:
                await self._within(service.close_seconds, service, "close", service.close())
            except ServiceTimeout as error:
                self._miss(error)
                await self._stop(service)
            self._closed(service)

    async def stop(self) -> None:
        """Stop all services, the last one first. A second call does nothing."""
        self._is_draining.set()
        for service in self._open[::-1]:
            await self._stop(service)
            self._closed(service)

    async def _stop(self, service: Service) -> None:
        try:
            await self._within(STOP_SECONDS, service, "stop", service.stop())
        except ServiceTimeout as error:
            self._miss(error)

    def _closed(self, service: Service) -> None:
        if service in self._open:  # a stop may have closed it meanwhile
            self._open.remove(service)

    def _miss(self, error: ServiceTimeout) -> None:
        LOG.error("%s", error)
        self._missed = self._missed or error

    async def _within(self, seconds: float, service: Service, step: str, work: Awaitable[None]) -> None:
        """Wait for one step of a service. Raises `ServiceTimeout` when the step misses its deadline."""
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                await work
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise ServiceTimeout(service.name, step, seconds) from error
