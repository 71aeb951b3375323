"""Receives events by HTTP, and turns away what there is no room for."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.http.access import Answer, Guard, later, own_hosts
from headrace.http.address import Address
from headrace.http.connection import NO_MORE, Patience, Reply
from headrace.http.server import Limits, Server
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.producer import PUSH_BUFFER_BYTES, Producer
from headrace.stages.files.decoders import MAX_VALUES
from headrace.stages.options import (
    AddressField,
    CountField,
    DurationField,
    RateField,
    SizeField,
    TokenField,
    check_token,
)
from headrace.stages.sources.http_body import Decode, decode_body
from headrace.stages.sources.recent_sizes import RecentSizes
from headrace.telemetry.events import LOG
from headrace.units import TokenBucket

DEFAULT_ADDRESS: Final = Address("127.0.0.1", 8080)
DEFAULT_MAX_BODY: Final = 10 * 1024 * 1024

FATES: Final = {
    Outcome.DONE: Answer(200, "All events are done."),
    Outcome.SET_ASIDE: Answer(202, "Some events failed, and are kept as dead letters."),
    Outcome.FAILED: Answer(500, "Some events failed: see the log of the pipeline."),
}
NO_ROOM: Final = later(429, "The pipeline has no room for the events now; none was taken.")


class ReceiveHttpOptions(BaseModel):
    """Where to listen, what to let in, and when to answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: AddressField = Field(
        default=DEFAULT_ADDRESS, description="The host:port to listen on; port 0 lets the system choose."
    )
    path: str = Field(default="/events", pattern=r"^/[^\s?#]*$", description="The path to which events are sent.")
    decode: Decode = Field(
        default="json", description="json: the body is an event, or a list of them; ndjson: each line is an event."
    )
    answer: Literal["accepted", "done"] = Field(
        default="accepted", description="accepted: 202 at once; done: when it is known what became of the events."
    )
    token: TokenField | None = Field(
        default=None, description="What senders have to show; needed where others reach the address."
    )
    max_body: Annotated[SizeField, Field(ge=1)] = Field(
        default=DEFAULT_MAX_BODY, description="The largest body of a request."
    )
    max_events: Annotated[CountField, Field(ge=1)] = Field(
        default=1000, description="How many events one request may bring; of NDJSON so many lines."
    )
    max_values: Annotated[CountField, Field(ge=1)] = Field(
        default=MAX_VALUES, description="How many values and keys the JSON of one request may hold."
    )
    rate: RateField | None = Field(default=None, description="How many requests are let in, as in 100/s.")
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

    def guard(self) -> Guard:
        """Return what is let in."""
        token = None if self.token is None else self.token.get_secret_value().encode()
        return Guard(self.path, self.decode, self.max_body, own_hosts(self.listen), token)

    def limits(self) -> Limits:
        """Return how many connections there may be, and how slow."""
        return Limits(self.max_connections, Patience(self.header_timeout, self.body_timeout))


class ReceiveHttp(Producer[object]):
    """Emits what requests bring, no more than has been asked for or fits into the buffer, and all of a request or none.

    A buffer that is to drop takes in all of them.

    With `answer: done` a request is answered when its last event has ended, 200, 202 (dead letters) or 500.
    """

    Options: ClassVar[type[BaseModel]] = ReceiveHttpOptions
    buffer_keep = "all"
    buffer_bytes = PUSH_BUFFER_BYTES

    def __init__(self, options: ReceiveHttpOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self._bucket = None if options.rate is None else TokenBucket(options.rate, clock())
        self._is_draining = False
        self._sizes = RecentSizes()
        self._server: Server | None = None
        self.emits_messages = options.answer == "done"
        self.port = 0
        """The port on which it listens, from `init` on."""

    def answer_when_kept(self) -> None:
        """Say `accepted`, too, only once all events of a request are in a buffer on disk, which ends their messages."""
        self.emits_messages = True

    @staticmethod
    def is_waited_for(options: BaseModel) -> bool:
        """Tell whether somebody waits for what becomes of an event, and may send no other meanwhile."""
        return isinstance(options, ReceiveHttpOptions) and options.answer == "done"

    async def init(self) -> None:
        """Begin to listen. Raises `ListenFailed`."""
        self._server = Server(self._options.guard(), self._options.limits(), self.metrics, self._refusal, self._receive)
        self.port = await self._server.open(self._options.listen)
        place = Address(self._options.listen.host, self.port)
        LOG.info("stage %r listens for events on http://%s%s", self.name, place, self._options.path)

    def handle_demand(self, demand: int) -> list[object]:
        """Return nothing: events come when they are sent."""
        return []

    def handle_drain(self) -> None:
        """Take in nothing more; say so to those who still ask, until the last event is on its way."""
        self._is_draining = True

    def terminate(self, reason: object) -> None:
        """Listen no more; requests whose events are on their way are answered all the same."""
        self._is_draining = True
        if self._server is not None:
            self._server.close()

    def _refusal(self) -> Answer | None:
        """Return why nothing can be taken in now, if it cannot."""
        if self._is_draining:
            return NO_MORE
        if self.room() < 1 or self._is_too_much(0):
            return NO_ROOM
        if self._bucket is not None and not self._bucket.take(1, self._clock()):
            return self._too_quick(self._bucket)
        return None

    def _is_too_much(self, size_bytes: int) -> bool:
        """Tell whether events of that size are too much beside those that the next stage has not handled, if any."""
        waiting = self._sizes.total(self.unhandled())
        limit = max(PUSH_BUFFER_BYTES, self.buffer_limit_bytes or 0)
        return waiting > 0 and waiting + size_bytes >= limit

    def _too_quick(self, bucket: TokenBucket) -> Answer:
        seconds = max(1, math.ceil(bucket.wait_seconds()))
        return later(429, "More requests come than `rate` allows: try again later.", seconds)

    def _receive(self, body: bytes, reply: Reply) -> None:
        options = self._options
        found = decode_body(body, options.decode, options.max_events, options.max_values)
        if isinstance(found, Answer):
            reply(found)
        elif self._is_draining:
            reply(NO_MORE)
        elif len(found.events) > self.room() or self._is_too_much(found.size_bytes):
            reply(NO_ROOM)
        else:
            self._sizes.add(len(found.events), found.size_bytes)
            self._take(found.events, reply)

    def _take(self, events: list[object], reply: Reply) -> None:
        is_done = self._options.answer == "done"
        success = FATES[Outcome.DONE] if is_done else Answer(202, f"Accepted: {len(events)}.")
        if self.emits_messages and events:
            self.emit_nowait(_messages(events, reply, success))
            return
        if events:
            self.emit_nowait(events)
        reply(success)


class _Fate:
    """What became of the events of one request: told when the last has ended."""

    def __init__(self, count: int, reply: Reply, success: Answer) -> None:
        self._open = count
        self._worst = Outcome.DONE
        self._reply = reply
        self._success = success

    def tell(self, outcome: Outcome) -> None:
        self._worst = max(self._worst, outcome)
        self._open -= 1
        if not self._open:
            self._reply(self._success if self._worst is Outcome.DONE else FATES[self._worst])


def _messages(events: Sequence[object], reply: Reply, success: Answer) -> list[object]:
    fate = _Fate(len(events), reply, success)
    return [Message(event, acknowledgement=Acknowledgement(fate.tell)) for event in events]
