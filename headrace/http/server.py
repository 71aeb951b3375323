"""The HTTP server of a source: its sockets, its connections, and how much all of them together may hold."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.http.access import AccessCheck, HttpAnswer, RequestHead, later
from headrace.http.address import Address, bind, port_of
from headrace.http.connection import Connection, ConnectionTimeouts, SendAnswer
from headrace.http.framing import framing_error
from headrace.telemetry.counts import Families, FamilySpec
from headrace.units import format_size

REQUESTS: Final = FamilySpec("counter", "headrace_http_requests_total", "Answers to requests, by status.", ("status",))
CONNECTIONS: Final = FamilySpec("gauge", "headrace_http_connections", "Connections that are open.")
BODIES: Final = FamilySpec("gauge", "headrace_http_body_bytes", "Bytes of bodies that have not all come.")
LARGEST_PART: Final = 8
"""So many bodies of the largest size are received at a time, or as many smaller ones."""

STATUSES: Final = (200, 202, 400, 401, 404, 405, 408, 413, 415, 421, 429, 431, 500, 501, 503, 505)
"""What is answered; counted from 0."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections may be open, and how long each may take."""

    max_connections: int
    timeouts: ConnectionTimeouts


class Server:
    """Hands the bodies of requests that the guard lets in to `receive`, and answers as it says.

    `refuse` is asked before a body is read, for what changes from one moment to the next.
    """

    def __init__(
        self,
        access: AccessCheck,
        limits: Limits,
        families: Families,
        refuse: Callable[[], HttpAnswer | None],
        receive: Callable[[bytes, SendAnswer], None],
    ) -> None:
        self.timeouts = limits.timeouts
        self.receive = receive
        self._access = access
        self._max_connections = limits.max_connections
        self._max_bytes = access.max_body * LARGEST_PART
        self._refuse = refuse
        self._requests = families.declare(REQUESTS)
        self._gauge = families.declare(CONNECTIONS)
        self._bodies = families.declare(BODIES)
        for status in STATUSES:
            self._requests.add((str(status),), 0)
        self._connections: set[Connection] = set()
        self._bytes = 0
        self._servers: list[asyncio.Server] = []

    async def open(self, address: Address) -> int:
        """Begin to listen; return the port. Raises `ListenFailed`."""
        sockets = bind(address, asks_token=self._access.token is not None)
        port = port_of(sockets[0])
        loop = asyncio.get_running_loop()
        self._servers = [await loop.create_server(lambda: Connection(self), sock=bound) for bound in sockets]
        return port

    def close(self) -> None:
        """Listen no more, and close all connections but those whose request waits for its answer."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.close()

    @property
    def connections(self) -> Sequence[Connection]:
        """The connections that are open."""
        return tuple(self._connections)

    def joined(self, connection: Connection) -> HttpAnswer | None:
        """Take in a connection, or return why there is no place for it."""
        if len(self._connections) >= self._max_connections:
            return later(503, f"{self._max_connections} connections are open (max_connections): try again later.")
        self._connections.add(connection)
        self._gauge.set((), len(self._connections))
        return None

    def left(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._gauge.set((), len(self._connections))

    def rejection(self, head: RequestHead) -> HttpAnswer | None:
        """Return why a request is refused before its body is read, if it is."""
        return framing_error(head) or self._access.rejection(head) or self._refuse()

    def took(self, size: int, so_far: int) -> HttpAnswer | None:
        """Take note of bytes of a body; return why there is no room for them."""
        if so_far + size > self._access.max_body:
            return self._access.too_large()
        if self._bytes + size > self._max_bytes:
            return later(429, f"Bodies of {format_size(self._max_bytes)} are on their way: try again later.")
        self._bytes += size
        self._bodies.set((), self._bytes)
        return None

    def dropped(self, size: int) -> None:
        """Take note that the bytes of a body are no longer kept."""
        self._bytes -= size
        self._bodies.set((), self._bytes)

    def answered(self, answer: HttpAnswer) -> None:
        """Count an answer."""
        self._requests.add((str(answer.status),))
