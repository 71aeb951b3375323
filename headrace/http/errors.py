"""What can go wrong with a request that a stage sends.

::

    StageError
    └── RequestFailed        an event did not reach its peer, as far as one can tell
        ├── PeerSilent       no connection, or no answer in time
        ├── PeerBusy         an answer that may be another one later: 408, 425, 429 and 5xx
        └── PeerRefused      any other answer that is no success: to send it again would not help
"""

from headrace.errors import StageError

PASSING = frozenset({408, 425, 429})
SERVER_ERRORS = 500


class RequestFailed(StageError):
    """An event did not reach its peer; `host` is all that is said of the URL, which may hold a secret."""

    def __init__(self, host: str, why: str) -> None:
        self.host = host
        super().__init__(f"{host} {why}")


class PeerSilent(RequestFailed):
    """No connection, or no answer in time; the event may have come there all the same."""


class PeerBusy(RequestFailed):
    """An answer that may be another one later; `retry_after_seconds` is what the peer asks for, if it does."""

    def __init__(self, host: str, status: int, retry_after_seconds: float | None) -> None:
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        super().__init__(host, f"answered {status}: try it again later, with `retry`")


class PeerRefused(RequestFailed):
    """An answer that is no success, and would be the same again."""

    def __init__(self, host: str, status: int) -> None:
        self.status = status
        super().__init__(host, f"answered {status}: mend the event, or the options of the stage")


def failure(host: str, status: int, retry_after_seconds: float | None) -> RequestFailed:
    """Return the error that an answer stands for."""
    if status in PASSING or status >= SERVER_ERRORS:
        return PeerBusy(host, status, retry_after_seconds)
    return PeerRefused(host, status)
