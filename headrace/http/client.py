"""A pool of connections to one peer, on httpx2: the only file that knows it."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2

from headrace.http.answered import Answered
from headrace.http.errors import PeerSilent

ANSWER_BYTES = 64 * 1024
"""So much of an answer is read to keep its connection; a longer one costs the connection."""


class Client:
    """Sends one request after another, or several at a time, over at most `max_connections` connections."""

    def __init__(self, method: str, url: str, headers: Mapping[str, str], max_connections: int) -> None:
        self._method = method
        self._url = url
        self._host = urlsplit(url).hostname or ""
        limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
        self._client = httpx2.AsyncClient(headers=dict(headers), limits=limits, timeout=None)

    async def send(self, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> Answered:
        """Send a body; raises `PeerSilent` when there is no answer in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._send(body, headers)
        except TimeoutError:
            raise PeerSilent(self._host, f"did not answer within {timeout_seconds:g} s (request_timeout)") from None
        except httpx2.TransportError as error:
            raise PeerSilent(self._host, f"cannot be reached ({type(error).__name__})") from error

    async def _send(self, body: bytes, headers: Mapping[str, str]) -> Answered:
        async with self._client.stream(self._method, self._url, content=body, headers=dict(headers)) as response:
            size = 0
            async for piece in response.aiter_raw():
                size += len(piece)
                if size > ANSWER_BYTES:
                    break
            return Answered(response.status_code, response.headers.get("retry-after", ""))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
