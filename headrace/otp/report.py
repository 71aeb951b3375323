"""Says what becomes of a process: in the log, and a crash by telemetry too, once each."""

from typing import Final

from headrace.errors import HeadraceError, describe
from headrace.telemetry.events import LOG, Telemetry


def report_crash(telemetry: Telemetry, name: str, reason: BaseException, restarts: int) -> None:
    """Tell of a crash; `restarts` is how often the process had been restarted before."""
    if isinstance(reason, HeadraceError):
        LOG.error("process %r ended: %s", name, describe(reason))
    else:
        LOG.error("process %r crashed", name, exc_info=reason)
    _tell(telemetry, name, reason, restarts)


def report_failed_start(telemetry: Telemetry, name: str, reason: BaseException) -> None:
    """Tell of a crash before the process ever ran: whoever started it hears `StartFailed`, so the log need not say."""
    LOG.debug("process %r could not start", name, exc_info=reason)
    _tell(telemetry, name, reason, 0)


def _tell(telemetry: Telemetry, name: str, reason: BaseException, restarts: int) -> None:
    telemetry.execute(("headrace", "process", "crash"), {"restarts": restarts}, {"process": name, "reason": reason})


def report_failed_end(name: str, error: BaseException) -> None:
    """Tell of what a step of an end raised: the end goes on."""
    LOG.error("process %r raised while it ended", name, exc_info=error)


HELD_ADVICE: Final = "make its callback async, or give it less to do at a time"


def report_held_loop(name: str, seconds: float, advice: str = HELD_ADVICE) -> None:
    """Name a process whose callback held the loop for long, and say what its user can do."""
    LOG.warning("%r held the event loop for %.0f ms: %s", name, seconds * 1000, advice)
