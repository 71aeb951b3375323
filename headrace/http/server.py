"""`HttpServer`: uvicorn's HTTP protocol in our loop, with deadlines and a limit of connections."""

import asyncio
import logging
import math
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

import h11
import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from headrace.http.access import CLOSE, HEAD_BYTES, HttpAnswer, retry_later
from headrace.telemetry.counts import Families, FamilySpec

REQUESTS: Final = FamilySpec("counter", "headrace_http_requests_total", "Answers to requests, by status.", ("status",))
CONNECTIONS: Final = FamilySpec("gauge", "headrace_http_connections", "Connections that are open.")

STATUSES: Final = (200, 202, 400, 401, 404, 405, 408, 413, 415, 421, 429, 431, 500, 501, 503, 505)
"""The statuses of answers; each is counted from 0."""

BACKLOG: Final = 100
"""How many connections asyncio accepts in one iteration of the loop."""

LINGER_SECONDS: Final = 5.0
"""How long a refused connection discards input, so that its client reads the answer."""

CLOSE_SECONDS: Final = 2.0
"""How long running requests may take when the server closes."""

NO_MORE: Final = HttpAnswer(
    503, "This server takes no more requests: try again later.", ((b"retry-after", b"1"), CLOSE)
)
"""The answer while the server closes."""

_UNANSWERED: Final = (h11.IDLE, h11.SEND_RESPONSE)

_LOG: Final = logging.getLogger("headrace.http")
_LOG.setLevel(logging.ERROR)  # uvicorn warns of every malformed request, and any client can send thousands of them


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The most connections, and the seconds for each step of a client.

    A client has `head_seconds` to send the head of its next request, `body_seconds` for the body, and `answer_seconds`
    to read the answer. A connection beyond `max_connections` is answered 503. With `gives_way` the server first tries
    to close the oldest connection that waits for its client, idle ones before others. The default is more than scrapers
    and probes need, and far fewer than the files of an OS process.
    """

    max_connections: int = 200
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    answer_seconds: float = 30.0
    gives_way: bool = True


class HttpServer:
    """Serves an ASGI app on bound sockets. It has no task of its own; uvicorn has one for each running request."""

    def __init__(
        self, app: ASGIApp, limits: HttpLimits | None = None, families: Families | None = None, *, has_date: bool = True
    ) -> None:
        """With `has_date` answers have a Date header, which takes 4 µs of the 160 µs of a request to `receive_http`."""
        families = families or Families()
        self.has_date = has_date
        self.limits = limits or HttpLimits()
        self.state = ServerState()
        self.requests = families.declare(REQUESTS)
        self.gauge = families.declare(CONNECTIONS)
        for status in STATUSES:
            self.requests.add((str(status),), 0)
        self.config = uvicorn.Config(
            app,
            http=H11Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=math.ceil(self.limits.head_seconds),
        )
        self.config.load()
        self._date = 0
        self._servers: list[asyncio.Server] = []

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        for bound in sockets:
            server = await loop.create_server(lambda: HttpConnection(self), sock=bound, backlog=BACKLOG)
            self._servers.append(server)

    def close(self) -> None:
        """Listen no more, and close all connections except while the app still has to answer."""
        for server in self._servers:
            server.close()
        for connection in self.connections:
            connection.end()

    @asynccontextmanager
    async def serving(self, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
        """Answer while the block runs; then close, and cancel the requests that take longer than `CLOSE_SECONDS`."""
        await self.open(sockets)
        try:
            yield
        finally:
            self.close()
            if self.state.tasks:
                await asyncio.wait(self.state.tasks, timeout=CLOSE_SECONDS)
            for task in self.state.tasks:
                task.cancel()

    @property
    def connections(self) -> "tuple[HttpConnection, ...]":
        """The open connections, without refused ones."""
        return tuple(one for one in self.state.connections if isinstance(one, HttpConnection))

    def stamp(self) -> None:
        """Set the Date header of the answers (RFC 9110, 6.6.1)."""
        now = int(time.time())
        if now != self._date:
            self._date = now
            self.state.default_headers = [(b"date", formatdate(now, usegmt=True).encode())]


class _Parser(h11.Connection):
    """Returns the head of an answer together with its first bytes: one system call less, 8 µs of 160 µs a request."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEAD_BYTES)
        self._head = b""

    @override
    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override] # h11 overloads it, with these types
        data = super().send(event)
        if type(event) is h11.Response:
            self._head = data or b""
            return b""
        if not self._head:
            return data
        head, self._head = self._head, b""
        return head + (data or b"")


class HttpConnection(H11Protocol):
    """One connection: uvicorn's own, with a deadline for each step of its client.

    Apart from the three methods of a protocol it overrides two of uvicorn's: `on_response_complete`, where the next
    step begins, and `send_400_response`, which raises in uvicorn when an answer has begun.
    """

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server.config, server.state, {})
        self.conn = _Parser()
        self.logger = _LOG
        self._server = server
        self._timer: asyncio.TimerHandle | None = None
        self._awaited: tuple[float | None, object] = (None, None)
        self._is_over = False
        self._has_received_all = False
        self.opened_at = self.loop.time()
        """The time of the loop's clock when the connection was made."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        limits = self._server.limits
        is_full = len(self.connections) >= limits.max_connections and not (limits.gives_way and self._end_another())
        super().connection_made(transport)
        if is_full:
            self.connections.discard(self)
            self._refuse(retry_later(503, f"All {limits.max_connections} connections are open: try again later."))
            transport.close()
        else:
            self._server.gauge.set((), len(self.connections))
            self._set_deadline()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._server.gauge.set((), len(self.connections))

    @override
    def data_received(self, data: bytes) -> None:
        if not self._is_over:
            if self._server.has_date:
                self._server.stamp()
            super().data_received(data)
            if self._timer is not None or self.conn.their_state is not h11.DONE:  # else it waits for the app
                self._set_deadline()

    @override
    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn's returns None: it closes before the answer
        if self._is_over:
            return False
        self._has_received_all = True
        if self._has_half_request():
            self._refuse(HttpAnswer(400, "The request ends too early."))
        return self.has_request

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._has_received_all and not self.has_request:
            self.transport.close()
        # Between two requests uvicorn's own timer runs (`timeout_keep_alive`).
        if self._has_half_request() or self.transport.get_write_buffer_size():
            self._set_deadline()

    @override
    def send_400_response(self, msg: str) -> None:
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._refuse(HttpAnswer(status, f"This is no HTTP request: {error}."))

    @property
    def has_request(self) -> bool:
        """Whether a request has begun that the app still has to answer."""
        cycle = self.cycle
        return cycle is not None and not (cycle.response_complete or cycle.disconnected)  # type: ignore[redundant-expr] # None at first

    @property
    def is_in_body(self) -> bool:
        """Whether a request has begun whose body has not arrived as a whole."""
        return self.conn.their_state is h11.SEND_BODY

    def awaited_seconds(self) -> float | None:
        """Return how long to wait for the client's present step; None while it waits for the app's answer."""
        limits = self._server.limits
        if self.transport.get_write_buffer_size():
            return limits.answer_seconds
        if self.is_in_body:
            return limits.body_seconds
        return None if self.has_request else limits.head_seconds

    def end(self) -> None:
        """Close, after the answer to a complete request; half a request is answered 503."""
        if self.is_in_body and self.has_request:
            self._refuse(NO_MORE)
        elif self.has_request:
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def _has_half_request(self) -> bool:
        """Tell whether a request has begun and has not arrived as a whole."""
        return self.is_in_body or (not self.has_request and bool(self.conn.trailing_data[0]))

    def _set_deadline(self) -> None:
        """Begin to wait for the client's next step; bytes that do not end a step win no time."""
        awaited = (self.awaited_seconds(), self.cycle)
        if self._is_over or awaited == self._awaited:
            return
        self._awaited = awaited
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if awaited[0] is None else self.loop.call_later(awaited[0], self._be_late)

    def _be_late(self) -> None:
        is_answered = self.conn.our_state not in _UNANSWERED or self.transport.is_closing()
        if self._has_half_request() and not is_answered:
            self._refuse(HttpAnswer(408, "The request did not come to its end in time."))
        else:
            self.transport.abort()

    def _end_another(self) -> bool:
        """End the oldest connection that waits for its client, idle ones first; return whether there was one."""
        waiting = [one for one in self._server.connections if one.awaited_seconds() is not None]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda one: (one.has_request, one.opened_at))
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _refuse(self, answer: HttpAnswer) -> None:
        """Answer instead of the app, if no answer has begun, and close."""
        body = answer.body
        headers = answer.headers_with(body)
        if self.has_request:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            body = b"" if self.scope["method"] == "HEAD" else body
        if self.conn.our_state in _UNANSWERED:
            self._server.requests.add((str(answer.status),))
            headers = headers if CLOSE in headers else [*headers, CLOSE]
            response = h11.Response(status_code=answer.status, headers=headers, reason=answer.reason)
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self._linger()

    def _linger(self) -> None:
        """Discard input for some seconds: a client that still sends could miss the answer if it closed at once."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._has_received_all:
            self.transport.close()
        if self.transport.is_closing():
            return
        try:
            self.transport.write_eof()
        except OSError:  # the client has reset the connection
            self.transport.abort()
            return
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
