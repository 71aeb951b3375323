"""A connection pool on httpx2, its errors, and `Retry-After`.

::

    StageError
    └── RequestFailed        an event did not reach its peer, or may not have
        ├── PeerSilent       no connection, or no answer in time
        ├── PeerBusy         an answer that may change later: 408, 425, 429 and 5xx
        └── PeerRefused      any other answer without success: another attempt would not help
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urlsplit

from typing_extensions import override

from headrace.errors import StageError


@dataclass(frozen=True, slots=True)
class HttpResult:
    """The status of an answer, and its Retry-After header, empty without one."""

    status: int
    retry_after: str


class HttpSender(Protocol):
    """A pool of connections to one peer."""

    async def send(self, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> HttpResult:
        """Send a body; raises `PeerSilent` when there is no answer in time."""

    async def close(self) -> None:
        """Close all connections."""


PASSING = frozenset({408, 425, 429})
SERVER_ERRORS = 500


class RequestFailed(StageError):
    """An event did not reach its peer. Only `host` is shown, since the URL may have a secret."""

    def __init__(self, host: str, why: str) -> None:
        self.host = host
        super().__init__(f"{host} {why}")


class PeerSilent(RequestFailed):
    """No connection, or no answer in time; the event may have reached the peer."""


class PeerBusy(RequestFailed):
    """An answer that may change later; `retry_after_seconds` is the wait that the peer asks for, if any."""

    def __init__(self, host: str, status: int, retry_after_seconds: float | None) -> None:
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        super().__init__(host, f"answered {status}: try it again later, with `retry`")


class PeerRefused(RequestFailed):
    """An answer without success that another attempt would not change."""

    def __init__(self, host: str, status: int) -> None:
        self.status = status
        super().__init__(host, f"answered {status}: mend the event, or the options of the stage")


def failure(host: str, status: int, retry_after_seconds: float | None) -> RequestFailed:
    """Return the error for an answer."""
    if status in PASSING or status >= SERVER_ERRORS:
        return PeerBusy(host, status, retry_after_seconds)
    return PeerRefused(host, status)


ANSWER_BYTES = 64 * 1024
"""The most bytes of an answer that are read to keep the connection; a longer answer closes it."""


class Client(HttpSender):
    """Sends one request after another, or several at a time, over at most `max_connections` connections.

    Raises ImportError when httpx2, an optional driver, is not installed.
    """

    def __init__(self, method: str, url: str, headers: Mapping[str, str], max_connections: int) -> None:
        import httpx2  # noqa: PLC0415 - an optional driver

        self._method = method
        self._url = url
        self._host = urlsplit(url).hostname or ""
        limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
        self._transport_error = httpx2.TransportError
        self._client: httpx2.AsyncClient = httpx2.AsyncClient(headers=dict(headers), limits=limits, timeout=None)

    @override
    async def send(self, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> HttpResult:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._send(body, headers)
        except TimeoutError:
            raise PeerSilent(self._host, f"did not answer within {timeout_seconds:g} s (request_timeout)") from None
        except self._transport_error as error:
            raise PeerSilent(self._host, f"cannot be reached ({type(error).__name__})") from error

    async def _send(self, body: bytes, headers: Mapping[str, str]) -> HttpResult:
        async with self._client.stream(self._method, self._url, content=body, headers=dict(headers)) as response:
            size = 0
            async for piece in response.aiter_raw():
                size += len(piece)
                if size > ANSWER_BYTES:
                    break
            return HttpResult(response.status_code, response.headers.get("retry-after", ""))

    @override
    async def close(self) -> None:
        await self._client.aclose()


LONGEST_DIGITS = 9
"""More digits are no realistic time to wait."""


def parse_retry_after(text: str, now: datetime) -> float | None:
    """Return the seconds to wait, 0 or more, from a Retry-After header; None for an unreadable header.

    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> parse_retry_after("120", now)
    120.0
    >>> parse_retry_after("Thu, 01 Jan 2026 00:00:30 GMT", now)
    30.0
    >>> parse_retry_after("soon", now)
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= LONGEST_DIGITS else None
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
