"""`LOG` and `Telemetry`: attach, execute, span."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from headrace.errors import HeadraceError

LOG: Final = logging.getLogger("headrace")

EventName = tuple[str, ...]
Measurements = Mapping[str, float]
Metadata = Mapping[str, object]
TelemetryHandler = Callable[[EventName, Measurements, Metadata], None]


class Telemetry:
    """Handlers of telemetry events. A handler that raises is detached and logged once; the emitter goes on."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[EventName, TelemetryHandler]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._by_name: dict[EventName, list[tuple[str, TelemetryHandler]]] = {}
        """The handlers of each emitted event, so that `execute` need not search."""

    def attach(self, handler_id: str, prefix: EventName, handler: TelemetryHandler) -> None:
        """Call `handler` for each event whose name begins with `prefix`. A used `handler_id` replaces its handler."""
        self._handlers[handler_id] = (prefix, handler)
        self._changed()

    def detach(self, handler_id: str) -> None:
        """Remove the handler of that id, if there is one."""
        if self._handlers.pop(handler_id, None) is not None:
            self._changed()

    def has_handler(self, name: EventName) -> bool:
        """Return whether a handler is attached for the event `name`: an emitter on a hot path asks in advance."""
        return any(name[: len(prefix)] == prefix for prefix, _ in self._handlers.values())

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each attach and detach."""
        self._listeners.append(listener)

    def _changed(self) -> None:
        self._by_name.clear()
        for listener in self._listeners:
            listener()

    def execute(self, name: EventName, measurements: Measurements, metadata: Metadata) -> None:
        """Call each handler of `name`, in the order in which they were attached.

        Only `Exception` is caught: KeyboardInterrupt passes through.
        """
        handlers = self._by_name.get(name)
        if handlers is None:
            attached = self._handlers.items()
            handlers = [(one, handler) for one, (prefix, handler) in attached if name[: len(prefix)] == prefix]
            self._by_name[name] = handlers
        for handler_id, handler in handlers:
            try:
                handler(name, measurements, metadata)
            except Exception:
                self.detach(handler_id)
                LOG.exception("telemetry handler %r raised, and is detached: fix it, and attach it again", handler_id)

    @contextmanager
    def span(self, name: EventName, metadata: Metadata, clock: Callable[[], float]) -> Iterator[None]:
        """Emit the duration of the block in seconds as `name + ("stop",)`, `("error",)` or `("cancelled",)`.

        The last two have the exception as `reason` in their metadata.
        """
        start = clock()
        try:
            yield
        except BaseException as error:
            outcome = "error" if isinstance(error, Exception) else "cancelled"
            self.execute((*name, outcome), {"duration_seconds": clock() - start}, {**metadata, "reason": error})
            raise
        self.execute((*name, "stop"), {"duration_seconds": clock() - start}, metadata)


def log_failure(error: Exception, text: str, *values: object) -> None:
    """Log a failure: an error of ours as its sentence, any other with its traceback."""
    if isinstance(error, HeadraceError):
        LOG.error(f"{text}: %s", *values, error)  # noqa: G004 - the text is the format
    else:
        LOG.error(text, *values, exc_info=error)
