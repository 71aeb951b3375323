"""One connection of the HTTP server: a state machine around h11, with no task and with a deadline for each step."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, cast

import h11
from typing_extensions import override

from headrace.http.access import CLOSE, HttpAnswer, RequestHead
from headrace.http.framing import HEAD_BYTES

LINGER_SECONDS: Final = 5.0
"""So long is read and thrown away what still comes behind a refusal, so that its sender reads the refusal."""

NO_MORE: Final = HttpAnswer(503, "Nothing more is taken in.", (("retry-after", "1"), CLOSE))
"""To who asks while the source drains."""

SendAnswer = Callable[[HttpAnswer], None]


@dataclass(frozen=True, slots=True)
class ConnectionTimeouts:
    """For how many seconds a connection waits for a head (an idle one, too), and for a body."""

    head_seconds: float
    body_seconds: float


class ServerInterface(Protocol):
    """What connections ask of their server. All of it is synchronous."""

    timeouts: ConnectionTimeouts

    def joined(self, connection: "Connection") -> HttpAnswer | None:
        """Take in a connection, or return why there is no place for it."""

    def left(self, connection: "Connection") -> None:
        """Forget a connection."""

    def rejection(self, head: RequestHead) -> HttpAnswer | None:
        """Return why a request is refused before its body is read, if it is."""

    def took(self, size: int, so_far: int) -> HttpAnswer | None:
        """Take note of bytes of a body, of which there were `so_far` before; return why there is no room for them."""

    def dropped(self, size: int) -> None:
        """Take note that the bytes of a body are no longer kept."""

    def receive(self, body: bytes, reply: SendAnswer) -> None:
        """Take a whole body in; `reply` is called once, now or later."""

    def answered(self, answer: HttpAnswer) -> None:
        """Count an answer."""


class Connection(asyncio.Protocol):
    """Reads one request at a time, and the next one only when that is answered and the answer is on its way."""

    def __init__(self, server: ServerInterface) -> None:
        self._server = server
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._method = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._is_at_it = False
        self._is_stuck = False
        self._is_over = False
        self._has_received_all = False
        self.is_waiting = False
        """Whether a request is in, and not answered."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        rejection = self._server.joined(self)
        if rejection is None:
            self._wait(self._server.timeouts.head_seconds)
        else:
            self._answer(rejection, is_last=True)
            self._transport.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        self._wait(None)
        self._drop_body()
        self._server.left(self)

    @override
    def data_received(self, data: bytes) -> None:
        if not self._is_over:
            self._parser.receive_data(data)
            self._go_on()

    @override
    def eof_received(self) -> bool:
        self._has_received_all = True
        if self._is_over:
            return False
        self._parser.receive_data(b"")
        self._go_on()
        return self.is_waiting

    @override
    def pause_writing(self) -> None:
        self._is_stuck = True
        self._transport.pause_reading()
        self._wait(self._server.timeouts.head_seconds)

    @override
    def resume_writing(self) -> None:
        self._is_stuck = False
        self._go_on()

    @property
    def is_in_body(self) -> bool:
        """Whether a request has begun whose body has not all come."""
        return self._parser.their_state is h11.SEND_BODY

    def close(self) -> None:
        """Close, behind the answer to the request that waits for one; half a request hears that there is no more."""
        if self.is_waiting:
            return
        if self.is_in_body and not self._is_over:
            self._answer(NO_MORE, is_last=True)
        self._is_over = True
        self._transport.close()

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self._time_is_up)

    def _time_is_up(self) -> None:
        has_begun = self.is_in_body or bool(self._parser.trailing_data[0])
        if self._is_over or self._is_stuck or not has_begun:
            self._is_over = True
            self._transport.abort()
        else:
            self._answer(HttpAnswer(408, "The request did not come to its end in time."), is_last=True)

    def _go_on(self) -> None:
        """Take in what has come, as far as it may be."""
        if self._is_at_it:
            return
        self._is_at_it = True
        try:
            while not (self._is_over or self._is_stuck or self.is_waiting) and self._take(self._parser.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self._answer(HttpAnswer(error.error_status_hint, f"This is no HTTP request: {error}."), is_last=True)
        finally:
            self._is_at_it = False
        if not (self._is_over or self._is_stuck):
            (self._transport.pause_reading if self.is_waiting else self._transport.resume_reading)()

    def _take(self, event: object) -> bool:
        """Take in what came; return whether there may be more."""
        match event:
            case h11.Request():
                self._begin(event)
            case h11.Data():
                self._add(bytes(event.data))
            case h11.EndOfMessage():
                self._receive()
            case h11.ConnectionClosed():
                self.close()
            case _:
                if self._parser.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                    self._transport.write(self._parser.send(go_on) or b"")
                return False
        return True

    def _begin(self, request: h11.Request) -> None:
        self._method = request.method
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
        target = request.target.decode("latin-1").partition("?")[0]
        version = request.http_version.decode("latin-1")
        rejection = self._server.rejection(RequestHead(request.method.decode("latin-1"), target, headers, version))
        if rejection is None:
            self._wait(self._server.timeouts.body_seconds)
        else:
            self._refuse(rejection)

    def _refuse(self, rejection: HttpAnswer) -> None:
        """Answer before the body is read: without one the connection can go on."""
        has_ended = not self._parser.they_are_waiting_for_100_continue and self._has_ended()
        self._answer(rejection, is_last=not has_ended or CLOSE in rejection.headers)

    def _has_ended(self) -> bool:
        """Tell whether the request has no body; if so, take note of its end."""
        if self._parser.their_state is h11.SEND_BODY and type(self._parser.next_event()) is not h11.EndOfMessage:
            return False
        return self._parser.their_state is h11.DONE

    def _add(self, data: bytes) -> None:
        rejection = self._server.took(len(data), self._size)
        if rejection is None:
            self._size += len(data)
            self._parts.append(data)
        else:
            self._answer(rejection, is_last=True)

    def _receive(self) -> None:
        self._wait(None)
        body = b"".join(self._parts)
        self._drop_body()
        self.is_waiting = True
        self._server.receive(body, self._reply)

    def _drop_body(self) -> None:
        self._server.dropped(self._size)
        self._parts.clear()
        self._size = 0

    def _reply(self, answer: HttpAnswer) -> None:
        if self.is_waiting and not self._is_over:
            self._answer(answer)
            self._go_on()

    def _answer(self, answer: HttpAnswer, *, is_last: bool = False) -> None:
        """Write an answer; close behind the last one, and else wait for another request."""
        self.is_waiting = False
        self._drop_body()
        self._server.answered(answer)
        if self._parser.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._write(answer, is_last=is_last)
        if is_last or self._parser.our_state is not h11.DONE or self._parser.their_state is not h11.DONE:
            self._linger()
        else:
            self._parser.start_next_cycle()
            self._wait(self._server.timeouts.head_seconds)

    def _write(self, answer: HttpAnswer, *, is_last: bool) -> None:
        body = answer.body
        headers = [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(body))),
            *answer.headers,
            *([CLOSE] if is_last and CLOSE not in answer.headers else []),
        ]
        response = h11.Response(status_code=answer.status, headers=headers, reason=answer.reason)
        written = self._parser.send(response) or b""
        if self._method != b"HEAD":
            written += self._parser.send(h11.Data(data=body)) or b""
        self._transport.write(written + (self._parser.send(h11.EndOfMessage()) or b""))

    def _linger(self) -> None:
        """Read on and throw away for a while: closed at once, a sender in full flow would not read its answer."""
        self._is_over = True
        if self._has_received_all:
            self._transport.close()
        if self._transport.is_closing():
            return
        try:
            self._transport.write_eof()
        except OSError:  # the other side has reset the connection, and nobody reads the answer
            self._transport.abort()
            return
        self._transport.resume_reading()
        self._wait(LINGER_SECONDS)
