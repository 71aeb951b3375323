"""Sends events by HTTP, one request for each."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from typing_extensions import override

from headrace.clock import utc_now
from headrace.database.urls import NUL, has_nul
from headrace.errors import Unrecoverable
from headrace.http.client import SERVER_ERRORS, Client, HttpSender, PeerSilent, failure, parse_retry_after
from headrace.pipeline.flow.counts import ConnectionStatus
from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.errors import BadEvent
from headrace.stages.options import CountField, DurationField, ExpressionField, Options, StageType, refused
from headrace.values import to_json

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS = re.compile(r"[1-5](xx|[0-9]{2})")
CONTENT_TYPES = {"json": "application/json", "ndjson": "application/x-ndjson"}


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_fine = False
    if has_nul(value):
        raise refused("bad_value", f"the URL {NUL}")
    if not is_fine:
        raise refused("bad_value", "a URL begins with http:// or https:// and names a host")
    return value


def _headers(value: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, text in value.items():
        header = text.get_secret_value()
        if not _NAME.fullmatch(name) or not header.isascii() or any(not sign.isprintable() for sign in header):
            raise refused("bad_value", f"the header {name!r} has a sign that no header may have", path=[name])
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _status(value: object) -> str:
    text = str(value)
    if not _STATUS.fullmatch(text):
        raise refused("bad_value", "a status is written as 200, or 2xx for all of them")
    return text


class SendHttpOptions(Options):
    """Where to send events, and in which format."""

    url: Annotated[str, AfterValidator(_url)] = Field(description="Where events are sent, http:// or https://.")
    method: Literal["POST", "PUT", "PATCH"] = Field(default="POST", description="The method of the requests.")
    headers: Annotated[dict[str, SecretStr], AfterValidator(_headers)] = Field(
        default={}, description="Headers of each request; their values are never shown."
    )
    encode: Literal["json", "ndjson"] = Field(
        default="json", description="json: the event; ndjson: one line, or one line for each item of a list."
    )
    success: Annotated[tuple[Annotated[str, BeforeValidator(_status)], ...], BeforeValidator(_listed)] = Field(
        default=("2xx",), min_length=1, description="The statuses of success: 2xx, or 409."
    )
    request_timeout: Annotated[DurationField, Field(gt=0)] = Field(
        default=10.0, description="How long one request may take, its answer included."
    )
    max_connections: Annotated[CountField, Field(ge=1)] = Field(
        default=10, description="The most connections to the peer."
    )
    idempotency_key: ExpressionField | None = Field(
        default=None, description="The Idempotency-Key, the same for every attempt: event.id."
    )


class MissingClient(Unrecoverable):
    """The HTTP client is not installed."""

    def __init__(self) -> None:
        super().__init__("send_http needs httpx2, which is not installed: pip install 'headrace[http]'")


class SendHttp(Consumer[object], StageType):
    """Sends one request for each event (a list is one event); the event is done when the peer answers with success.

    Other answers fail the event: `PeerSilent`, `PeerBusy` or `PeerRefused`. Without `retry` it is tried once.
    """

    Options = SendHttpOptions
    per_event = True

    def __init__(self, options: SendHttpOptions, clock: Callable[[], datetime] = utc_now) -> None:
        self._options = options
        self._clock = clock
        self._host = urlsplit(options.url).hostname or ""
        self._client: HttpSender | None = None
        self._status: ConnectionStatus

    @override
    def init(self) -> None:
        self._status = self.connection("peer")
        headers = {name: value.get_secret_value() for name, value in self._options.headers.items()}
        own = {"content-type": CONTENT_TYPES[self._options.encode], "user-agent": "headrace"}
        for name in headers:
            own.pop(name.lower(), None)
        try:
            self._client = Client(self._options.method, self._options.url, own | headers, self._options.max_connections)
        except ModuleNotFoundError:
            raise MissingClient from None

    @override
    async def handle_events(self, events: list[object]) -> None:
        for position, event in enumerate(events):
            try:
                await self._send(event)
            except Exception as error:  # noqa: BLE001 - it fails this event alone
                self.fail_at(position, error)

    @override
    async def terminate(self, reason: object) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _send(self, event: object) -> None:
        client = self._client
        if client is None:
            return
        body, key = self._body(event), self._key(event)
        try:
            answered = await client.send(body, key, self._options.request_timeout)
        except PeerSilent as error:
            self._status.down(error)
            raise
        status = str(answered.status)
        if {status, f"{status[0]}xx"}.intersection(self._options.success):
            self._status.up()
            return
        rejection = failure(self._host, answered.status, parse_retry_after(answered.retry_after, self._clock()))
        if answered.status >= SERVER_ERRORS:
            self._status.down(rejection)
        else:
            self._status.up()
        raise rejection

    def _key(self, event: object) -> dict[str, str]:
        if self._options.idempotency_key is None:
            return {}
        key = str(self._options.idempotency_key(event))
        if not key or not key.isascii() or not key.isprintable():
            why = f"its idempotency key is {key!r:.100}, and must be ASCII text that is not empty"
            raise BadEvent(why)
        return {"idempotency-key": key}

    def _body(self, event: object) -> bytes:
        try:
            if self._options.encode == "json":
                return to_json(event).encode()
            lines = event if isinstance(event, list) else [event]
            return "".join(f"{to_json(line)}\n" for line in lines).encode()
        except (TypeError, ValueError, RecursionError) as error:
            why = f"the event cannot be written as JSON: {error}"
            raise BadEvent(why) from None
