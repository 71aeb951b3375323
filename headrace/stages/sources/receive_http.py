"""Receives events in HTTP requests."""

import asyncio
import json
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, model_validator
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from headrace.http.access import (
    CLOSE,
    AccessCheck,
    Head,
    HttpAnswer,
    allowed_hosts,
    headers_of,
    retry_later,
    send_answer,
)
from headrace.http.address import Address, bind, port_of
from headrace.http.server import NO_MORE, REQUESTS, HttpLimits, HttpServer
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.producer import PUSH_BUFFER_BYTES, Producer
from headrace.stages.files.decoders import (
    MAX_DEPTH,
    MAX_VALUES,
    VALUE_BYTES,
    JsonDecoder,
    count_values,
    is_too_deep,
    refuse_constant,
)
from headrace.stages.files.line_splitter import BOM, LineSplitter
from headrace.stages.options import (
    AddressField,
    CountField,
    DurationField,
    Options,
    RateField,
    SizeField,
    StageType,
    TokenField,
    check_token,
)
from headrace.telemetry.counts import Family, FamilySpec
from headrace.telemetry.events import LOG
from headrace.units import TokenBucket, format_size

Decode = Literal["json", "ndjson"]

_JSON: Final = json.JSONDecoder(parse_constant=refuse_constant)
_TOO_DEEP: Final = HttpAnswer(413, f"The body nests lists and objects more than {MAX_DEPTH} deep: send flatter events.")


@dataclass(frozen=True, slots=True)
class BodyEvents:
    """The events of a body, and an estimate of their memory."""

    events: list[object]
    size_bytes: int


def decode_body(body: bytes, decode: Decode, max_events: int, max_values: int = MAX_VALUES) -> BodyEvents | HttpAnswer:
    """Return the events of a body, or the answer that refuses the whole body.

    JSON is one event or a list of events; in NDJSON each line that is not blank is an event. A body with more than
    `max_values` values and keys is not decoded.
    """
    values = count_values(body, max_values)
    if values is None:
        return _too_many("values and keys", "max_values", max_values)
    if is_too_deep(body):
        return _TOO_DEEP
    events = _json_events(body, max_events) if decode == "json" else _line_events(body, max_events)
    return events if isinstance(events, HttpAnswer) else BodyEvents(events, len(body) + VALUE_BYTES * values)


def _json_events(body: bytes, max_events: int) -> list[object] | HttpAnswer:
    try:
        value = _JSON.decode(body.removeprefix(BOM).decode())
    except UnicodeDecodeError as error:
        return HttpAnswer(400, f"The body is not UTF-8 (byte {error.start + 1}).")
    except json.JSONDecodeError as error:
        return HttpAnswer(400, f"The body is not JSON ({error.msg}, line {error.lineno}, column {error.colno}).")
    except RecursionError:
        return _TOO_DEEP
    except ValueError as error:
        return HttpAnswer(400, f"The body is not JSON that can be read ({error}).")
    events = value if isinstance(value, list) else [value]
    return _too_many("events", "max_events", max_events) if len(events) > max_events else events


def _line_events(body: bytes, max_events: int) -> list[object] | HttpAnswer:
    # Counted before decoding: millions of short lines would take much more memory than the body.
    if body.removesuffix(b"\n").count(b"\n") >= max_events:
        return _too_many("lines", "max_events", max_events)
    splitter = LineSplitter(max(1, len(body)))
    decoded = JsonDecoder().decode([*splitter.split(body), *splitter.end()], 1)
    if decoded.refused:
        first = decoded.refused[0]
        others = len(decoded.refused) - 1
        more = f" (and {others} more lines)" if others else ""
        return HttpAnswer(400, f"Line {first.number}: {first.why}{more}; none of the lines was taken.")
    return decoded.events


def _too_many(what: str, option: str, most: int) -> HttpAnswer:
    return HttpAnswer(413, f"The body has more than {most} {what} ({option}): send it in pieces.")


class RecentSizes:
    """The sizes of emitted lists of events, kept as long as one of their events may wait."""

    def __init__(self) -> None:
        self._lists: deque[tuple[int, int]] = deque()
        self._events = 0
        self._bytes = 0

    def add(self, events: int, size_bytes: int) -> None:
        """Add a list of events and its size."""
        self._lists.append((events, size_bytes))
        self._events += events
        self._bytes += size_bytes

    def total(self, newest: int) -> int:
        """Return the size of the lists that hold the `newest` events, and forget all older lists.

        >>> sizes = RecentSizes()
        >>> sizes.add(2, 100)
        >>> sizes.add(3, 10)
        >>> sizes.total(4), sizes.total(3), sizes.total(0)
        (110, 10, 0)
        """
        lists = self._lists
        while lists and self._events - lists[0][0] >= newest:
            events, size_bytes = lists.popleft()
            self._events -= events
            self._bytes -= size_bytes
        return self._bytes


DEFAULT_ADDRESS: Final = Address("127.0.0.1", 8080)
DEFAULT_MAX_BODY: Final = 10 * 1024 * 1024

MEDIA_TYPES: Final[dict[str, frozenset[bytes]]] = {
    "json": frozenset({b"application/json", b"text/json"}),
    "ndjson": frozenset(
        {b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/x-jsonlines"}
    ),
}
"""The media types of `decode`. A browser lets no page send them to another site without asking that site."""

BODIES: Final = FamilySpec("gauge", "headrace_http_body_bytes", "Bytes of bodies that have not all come.")
LARGEST_BODIES: Final = 8
"""The limit for all bodies that are received at a time, counted in bodies of the largest size."""

OUTCOMES: Final = {
    Outcome.DONE: HttpAnswer(200, "All events are done."),
    Outcome.DEAD_LETTERED: HttpAnswer(202, "Some events failed, and are kept as dead letters."),
    Outcome.FAILED: HttpAnswer(500, "Some events failed: see the log of the pipeline."),
}
NO_ROOM: Final = retry_later(429, "The pipeline has no room for the events now; none was taken.")


class ReceiveHttpOptions(Options):
    """Where to listen, which requests to accept, and when to answer."""

    listen: AddressField = Field(
        default=DEFAULT_ADDRESS, description="The host:port to listen on; port 0 lets the system choose."
    )
    path: str = Field(default="/events", pattern=r"^/[^\s?#]*$", description="The path to which events are sent.")
    decode: Decode = Field(
        default="json", description="json: the body is an event, or a list of them; ndjson: each line is an event."
    )
    answer: Literal["accepted", "done"] = Field(
        default="accepted", description="accepted: 202 at once; done: when the outcome of all events is known."
    )
    token: TokenField | None = Field(
        default=None, description="The token that senders must show; required at an address that others can reach."
    )
    max_body: Annotated[SizeField, Field(ge=1)] = Field(
        default=DEFAULT_MAX_BODY, description="The largest body of a request."
    )
    max_events: Annotated[CountField, Field(ge=1)] = Field(
        default=1000, description="The most events of one request; the most lines of NDJSON."
    )
    max_values: Annotated[CountField, Field(ge=1)] = Field(
        default=MAX_VALUES, description="The most values and keys in the JSON of one request."
    )
    rate: RateField | None = Field(default=None, description="How many requests are accepted, as in 100/s.")
    max_connections: Annotated[CountField, Field(ge=1)] = Field(
        default=500, description="How many connections may be open."
    )
    header_timeout: Annotated[DurationField, Field(gt=0)] = Field(
        default=10.0, description="How long a connection may take to send the head of its next request."
    )
    body_timeout: Annotated[DurationField, Field(gt=0)] = Field(
        default=30.0, description="How long a request may take to send its body."
    )

    @model_validator(mode="after")
    def _needs_a_token(self) -> "ReceiveHttpOptions":
        hint = 'write token: "${file:token}" beside it, or listen on 127.0.0.1'
        check_token(self.listen, self.token, "listen", hint)
        return self

    def access_check(self) -> AccessCheck:
        """Return the check of the Host header and the token."""
        token = None if self.token is None else self.token.get_secret_value().encode()
        return AccessCheck(allowed_hosts(self.listen), token)

    def limits(self) -> HttpLimits:
        """Return the limits of connections."""
        return HttpLimits(
            self.max_connections, self.header_timeout, self.body_timeout, self.header_timeout, gives_way=False
        )


class RequestCheck:
    """Checks the head of a request: access, path, method, and the type and length of the body."""

    def __init__(self, options: ReceiveHttpOptions) -> None:
        self._options = options
        self._path = options.path.encode()
        self._access = options.access_check()

    def rejection(self, head: Head) -> HttpAnswer | None:
        """Return the rejection of a request, or None."""
        rejection = self._access.rejection(head, is_trusted=self._access.is_trusted(head))
        if rejection is not None:
            return rejection
        if head["raw_path"] != self._path:
            return HttpAnswer(404, f"Nothing is here: events go to {self._options.path}.")
        if head["method"] != "POST":
            return HttpAnswer(405, "Events are sent with POST.", ((b"allow", b"POST"),))
        return self._body_rejection(head)

    def too_large(self) -> HttpAnswer:
        """Return the answer to a body larger than `max_body`."""
        limit = format_size(self._options.max_body)
        return HttpAnswer(413, f"The body is larger than {limit} (max_body): send it in pieces.")

    def _body_rejection(self, head: Head) -> HttpAnswer | None:
        headers = headers_of(head)
        if headers.get(b"content-encoding", b"").strip().lower() not in (b"", b"identity"):
            return HttpAnswer(415, "The body is compressed: send it as it is.", ((b"accept-encoding", b"identity"),))
        decode = self._options.decode
        kinds = MEDIA_TYPES[decode]
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() not in kinds:
            return HttpAnswer(415, f"The body must be {decode.upper()}: send Content-Type: {min(kinds).decode()}.")
        length = headers.get(b"content-length", b"")
        return self.too_large() if length.isdigit() and int(length) > self._options.max_body else None


class ReceiveHttp(Producer[object], StageType):
    """Emits the events of requests: all events of a request or none, and no more than demand and buffer have room for.

    A buffer that drops takes all of them.

    With `answer: done` a request is answered when its last event has ended, 200, 202 (dead letters) or 500.
    """

    Options = ReceiveHttpOptions
    buffer_keep = "all"
    buffer_bytes = PUSH_BUFFER_BYTES

    def __init__(self, options: ReceiveHttpOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self._bucket = None if options.rate is None else TokenBucket(options.rate, clock())
        self._check = RequestCheck(options)
        self._is_draining = False
        self._sizes = RecentSizes()
        self._body_bytes = 0
        self._requests: Family
        self._bodies: Family
        self._server: HttpServer | None = None
        self.emits_messages = options.answer == "done"
        self.port = 0
        """The port, once it listens."""

    @override
    def acknowledge_when_stored(self) -> None:
        self.emits_messages = True

    @staticmethod
    @override
    def has_waiting_sender(options: BaseModel) -> bool:
        return isinstance(options, ReceiveHttpOptions) and options.answer == "done"

    @override
    async def init(self) -> None:
        self._server = HttpServer(self._respond, self._options.limits(), self.metrics, has_date=False)
        self._requests = self.metrics.declare(REQUESTS)
        self._bodies = self.metrics.declare(BODIES)
        sockets = bind(self._options.listen, asks_token=self._options.token is not None)
        self.port = port_of(sockets[0])
        await self._server.open(sockets)
        address = Address(self._options.listen.host, self.port)
        LOG.info("stage %r listens for events on http://%s%s", self.name, address, self._options.path)

    @override
    def handle_demand(self, demand: int) -> list[object]:
        return []

    @override
    def handle_drain(self) -> None:
        self._is_draining = True

    @override
    def terminate(self, reason: object) -> None:
        # The server still answers requests whose events have been emitted.
        self._is_draining = True
        if self._server is not None:
            self._server.close()

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: the ASGI app of the server."""
        answer, unread = self._check.rejection(scope) or self._rejection(), None
        if answer is None:
            body = await self._body(receive)
            if body is None:
                return
            answer = await self._answer(body) if isinstance(body, bytes) else body
        elif b"expect" in headers_of(scope):
            answer = HttpAnswer(answer.status, answer.text, (*answer.headers, CLOSE))  # the body may never come
        elif CLOSE in answer.headers:
            unread = receive
        self._requests.add((str(answer.status),))
        await send_answer(send, answer, unread)

    async def _body(self, receive: Receive) -> bytes | HttpAnswer | None:
        """Return the body of a request, or why it is refused; None when the client is gone."""
        limit = self._options.max_body
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part = message["body"]
                if size + len(part) > limit:
                    return self._check.too_large()
                if not message["more_body"]:
                    return b"".join([*parts, part])
                if self._body_bytes + len(part) > limit * LARGEST_BODIES:
                    found = format_size(limit * LARGEST_BODIES)
                    return retry_later(429, f"Bodies of {found} are on their way: try again later.")
                parts.append(part)
                size += len(part)
                self._add_body_bytes(len(part))
        finally:
            if size:
                self._add_body_bytes(-size)

    def _add_body_bytes(self, size: int) -> None:
        self._body_bytes += size
        self._bodies.set((), self._body_bytes)

    def _rejection(self) -> HttpAnswer | None:
        """Return why no request is accepted now; None if requests are accepted."""
        if self._is_draining:
            return NO_MORE
        if self.room() < 1 or self._is_too_much(0):
            return NO_ROOM
        if self._bucket is not None and not self._bucket.take(1, self._clock()):
            seconds = max(1, math.ceil(self._bucket.wait_seconds()))
            return retry_later(429, "More requests come than `rate` allows: try again later.", seconds)
        return None

    def _is_too_much(self, size_bytes: int) -> bool:
        """Tell whether events of this size exceed the limit together with the unhandled events."""
        waiting = self._sizes.total(self.unhandled())
        limit = max(PUSH_BUFFER_BYTES, self.buffer_limit_bytes or 0)
        return waiting > 0 and waiting + size_bytes >= limit

    def _no_room_for(self, found: BodyEvents) -> HttpAnswer | None:
        """Return why the events of a body are not accepted; None if they are accepted."""
        if self._is_draining:
            return NO_MORE
        count, room = len(found.events), self.room()
        if count > room > 0 and not self.unhandled():
            return HttpAnswer(413, f"The pipeline has room for {room} events at most: send the body in pieces.")
        return NO_ROOM if count > room or self._is_too_much(found.size_bytes) else None

    async def _answer(self, body: bytes) -> HttpAnswer:
        """Emit the events of a body, and return the answer, now or when their outcome is known."""
        options = self._options
        found = decode_body(body, options.decode, options.max_events, options.max_values)
        if isinstance(found, HttpAnswer):
            return found
        rejection = self._no_room_for(found)
        if rejection is not None:
            return rejection
        events = found.events
        self._sizes.add(len(events), found.size_bytes)
        success = OUTCOMES[Outcome.DONE] if options.answer == "done" else _accepted(len(events))
        if not events:
            return success
        if not self.emits_messages:
            self.emit_nowait(events)
            return success
        outcome = _RequestOutcome(len(events))
        self.emit_nowait([Message(event, acknowledgement=Acknowledgement(outcome.acknowledge)) for event in events])
        worst = await outcome.worst
        return success if worst is Outcome.DONE else OUTCOMES[worst]


@lru_cache(128)
def _accepted(count: int) -> HttpAnswer:
    return HttpAnswer(202, f"Accepted: {count}.")


class _RequestOutcome:
    """The worst outcome of the events of one request, known when the last one has ended."""

    def __init__(self, count: int) -> None:
        self.worst: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._open = count
        self._so_far = Outcome.DONE

    def acknowledge(self, outcome: Outcome) -> None:
        self._so_far = max(self._so_far, outcome)
        self._open -= 1
        if not self._open and not self.worst.done():
            self.worst.set_result(self._so_far)
