"""The listener's connections: uvicorn's own, with a deadline for each step that the peer has to take."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import h11
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

CONNECTIONS: Final = 200
"""How many connections may be open: more than scrapers and probes need, far fewer than the files of an OS process."""

BACKLOG: Final = CONNECTIONS // 2
"""How many connections asyncio accepts in one turn of the loop: a new one survives a turn, and so its head is read."""

_UNANSWERED: Final = (h11.IDLE, h11.SEND_RESPONSE)
_FULL: Final = b"All connections are busy: try again later.\n"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The seconds in which a peer has to send the head of a request, to send its body, and to read an answer."""

    head_seconds: float = 10.0
    body_seconds: float = 30.0
    answer_seconds: float = 30.0


class TimedConnection(H11Protocol):
    """Ends when its peer is late, and gives way to new connections while it waits for its peer."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # as uvicorn's
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        deadlines: Deadlines,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._deadlines = deadlines
        self._timer: asyncio.TimerHandle | None = None
        self._awaited: tuple[float | None, object] = (None, None)
        self.opened_at = self.loop.time()
        """When the connection was made, by the loop's clock."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        is_full = len(self.connections) >= CONNECTIONS and not self._end_another()
        super().connection_made(transport)
        if is_full:
            self._refuse(503, _FULL)
        self._set_deadline()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._set_deadline()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._set_deadline()

    @override
    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in _UNANSWERED:
            self._refuse(400, f"{msg}\n".encode())
            return
        self._end_request()
        self.transport.close()

    @property
    def has_request(self) -> bool:
        """Whether a request has begun whose answer is not complete."""
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr] # None at first

    def awaited_seconds(self) -> float | None:
        """Return how long to wait for the peer's present step; None while it waits for the app's answer."""
        if self.transport.get_write_buffer_size():
            return self._deadlines.answer_seconds
        if self.conn.their_state is h11.SEND_BODY:
            return self._deadlines.body_seconds
        return None if self.has_request else self._deadlines.head_seconds

    def _set_deadline(self) -> None:
        """Begin to wait for the peer's next step; bytes that do not end a step win no time."""
        awaited = (self.awaited_seconds(), self.cycle)
        if awaited == self._awaited:
            return
        self._awaited = awaited
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if awaited[0] is None else self.loop.call_later(awaited[0], self._be_late)

    def _be_late(self) -> None:
        self._awaited = (None, None)
        has_begun = bool(self.conn.trailing_data[0]) or self.conn.their_state is h11.SEND_BODY
        if has_begun and not self.transport.is_closing() and self.conn.our_state in _UNANSWERED:
            self._refuse(408, b"The request did not come to its end in time.\n")
            self._set_deadline()
        else:
            self.transport.abort()

    def _end_another(self) -> bool:
        """End the oldest connection that waits for its peer, idle ones first; return whether there was one."""
        waiting = [
            one for one in self.connections if isinstance(one, TimedConnection) and one.awaited_seconds() is not None
        ]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda one: (one.has_request, one.opened_at))
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _refuse(self, status: int, sentence: bytes) -> None:
        """Answer in place of the app, and close."""
        self._end_request()
        headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=sentence), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _end_request(self) -> None:
        """Let the app send no answer to the request that has begun, if any."""
        if self.has_request:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
