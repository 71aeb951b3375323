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
    """Handlers by name. A handler that raises is detached and named in the log once; the emitter goes on."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[EventName, TelemetryHandler]] = {}

    def attach(self, handler_id: str, prefix: EventName, handler: TelemetryHandler) -> None:
        """Call `handler` for every event whose name begins with `prefix`; an id used before is replaced."""
        self._handlers[handler_id] = (prefix, handler)

    def detach(self, handler_id: str) -> None:
        """Stop calling the handler of that id, if there is one."""
        self._handlers.pop(handler_id, None)

    def execute(self, name: EventName, measurements: Measurements, metadata: Metadata) -> None:
        """Tell every handler of `name`, in the order in which they were attached.

        KeyboardInterrupt and its kin pass through.
        """
        for handler_id, (prefix, handler) in list(self._handlers.items()):
            if name[: len(prefix)] == prefix:
                try:
                    handler(name, measurements, metadata)
                except Exception:
                    self.detach(handler_id)
                    LOG.exception("telemetry handler %r raised, and is detached: attach a mended one", handler_id)

    @contextmanager
    def span(self, name: EventName, metadata: Metadata, clock: Callable[[], float]) -> Iterator[None]:
        """Tell the duration in seconds of the block as `name + ("stop",)`, `("error",)` or `("cancelled",)`.

        The last two have what was raised as `reason` in their metadata.
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
    """Say what failed: our own errors are a sentence, and of any other the traceback is wanted."""
    if isinstance(error, HeadraceError):
        LOG.error(f"{text}: %s", *values, error)  # noqa: G004 - the text is a format itself
    else:
        LOG.error(text, *values, exc_info=error)
