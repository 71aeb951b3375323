"""The `Service` protocol and `Services`, which opens, drains and closes them in order."""

from typing import Protocol, TypeVar

from headrace.pipeline.failure import DeadLetterHandler
from headrace.pipeline.topology.run import Run


class Service(Protocol):
    """Something that a run opens, drains and closes beside its stages."""

    @property
    def dead_letter_handler(self) -> DeadLetterHandler | None:
        """Stores events that failed for good; None for a service that stores none."""

    async def open(self) -> None:
        """Called before the stages are made. When it raises, nothing of the service is open."""

    async def attach(self, run: Run) -> None:
        """Called before the stages of a run start."""

    def drain(self) -> None:
        """Take in nothing new. Called before the stages drain."""

    async def close(self) -> None:
        """Finish within a time limit, and close. Called after the stages have ended; a second call does nothing."""


S = TypeVar("S")


class Services:
    """The services of one topology, in the order in which they were added."""

    def __init__(self) -> None:
        self._services: list[Service] = []

    @property
    def dead_letter_handler(self) -> DeadLetterHandler | None:
        """The handler of the first service that stores events that failed for good."""
        handlers = (service.dead_letter_handler for service in self._services)
        return next((handler for handler in handlers if handler is not None), None)

    def add(self, service: Service) -> None:
        """Add a service behind the others."""
        self._services.append(service)

    def find(self, kind: type[S]) -> S | None:
        """Return the first service of a class."""
        return next((service for service in self._services if isinstance(service, kind)), None)

    async def open(self) -> None:
        """Open all services in order. When one raises, those before it are closed."""
        for position, service in enumerate(self._services):
            try:
                await service.open()
            except BaseException:
                await self._close(self._services[:position])
                raise

    async def attach(self, run: Run) -> None:
        """Attach all services to a run, in order."""
        for service in self._services:
            await service.attach(run)

    def drain(self) -> None:
        """Drain all services, in order."""
        for service in self._services:
            service.drain()

    async def close(self) -> None:
        """Close all services, the last one first. A second call does nothing."""
        await self._close(self._services)

    async def _close(self, services: list[Service]) -> None:
        for service in reversed(services):
            await service.close()
