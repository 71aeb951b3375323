"""Says in the log what failed where the work goes on."""

from headrace.errors import HeadraceError
from headrace.telemetry.telemetry import LOG


def log_failure(error: Exception, text: str, *values: object) -> None:
    """Say what failed: our own errors are a sentence, and of any other the traceback is wanted."""
    if isinstance(error, HeadraceError):
        LOG.error(f"{text}: %s", *values, error)
    else:
        LOG.error(text, *values, exc_info=error)
