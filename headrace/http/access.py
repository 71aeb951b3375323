"""Host header, bearer token, framing of a request, and the answer to a refused request."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hmac import compare_digest
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.types import Receive, Send

from headrace.http.address import Address

HEAD_BYTES: Final = 16 * 1024
"""The longest head of a request."""

CLOSE: Final = (b"connection", b"close")
"""The header of the last answer on a connection."""

_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_LINE_BYTES: Final = len(": \r\n")

Head = Mapping[str, Any]
"""The ASGI scope of a request: `method`, `path`, `http_version`, and `headers` with names in lower case."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A status, one sentence as its body, and further headers; their names are in lower case."""

    status: int
    text: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def reason(self) -> str:
        """The phrase of the status."""
        return HTTPStatus(self.status).phrase

    @property
    def body(self) -> bytes:
        """The sentence, or else the phrase of the status, as a line of text."""
        return f"{self.text or self.reason}\n".encode()

    def headers_with(self, body: bytes) -> list[tuple[bytes, bytes]]:
        """Return all headers, with the type and length of the body."""
        length = str(len(body)).encode()
        return [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", length), *self.headers]


def retry_later(status: int, text: str, seconds: int = 1) -> HttpAnswer:
    """Return an answer that asks the client to try again after some seconds."""
    return HttpAnswer(status, text, ((b"retry-after", str(seconds).encode()),))


async def send_answer(send: Send, answer: HttpAnswer, receive: Receive | None = None) -> None:
    """Send an answer as an ASGI app does.

    With `receive`, discard the body of the request before the connection closes: a client that still sends could miss
    the answer otherwise. The body must be unread.
    """
    body = answer.body
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers_with(body)})
    if receive is not None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        while (await receive()).get("more_body"):
            pass
        body = b""
    await send({"type": "http.response.body", "body": body})


def headers_of(head: Head) -> dict[bytes, bytes]:
    """Return the headers by name; of several with one name, the first."""
    return dict(reversed(head["headers"]))


def allowed_hosts(address: Address) -> frozenset[str]:
    """Return the names that the Host header may have for a server at `address`."""
    return _LOCAL_NAMES | {plain_host(address.host), socket.gethostname().lower()}


def shows_token(authorization: str, token: bytes) -> bool:
    """Tell whether an Authorization header, empty without one, has the token as its bearer token."""
    scheme, _, shown = authorization.partition(" ")
    return scheme.lower() == "bearer" and compare_digest(shown.strip(" \t").encode("latin-1"), token)


@lru_cache(128)
def host_name(header: str) -> str | None:
    """Return the name in a Host header, without its port; None when there is no valid name.

    >>> host_name("[::1]:9470")
    '::1'
    >>> host_name("Shop.example")
    'shop.example'
    >>> host_name("a@b")
    """
    if any(sign.isspace() or sign in "/?#@" for sign in header):
        return None
    try:
        name = urlsplit(f"//{header}").hostname
    except ValueError:
        return None
    return plain_host(name) if name else None


def plain_host(name: str) -> str:
    """Return a host in its one spelling: lower case, IPv6 in its short form."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower()


def framing_error(head: Head) -> HttpAnswer | None:
    """Return the answer to a request whose end is in doubt, if it is; the connection closes after it.

    Two servers that disagree about the end of a request let a client smuggle a second one past the first server.
    A line that ends with LF alone is accepted: RFC 9112 (2.2) allows that, and it moves no end of a request.
    """
    version = head["http_version"]
    if not version.startswith("1."):
        return HttpAnswer(505, "This server speaks HTTP/1.1.", (CLOSE,))
    headers = head["headers"]
    names = [name for name, _ in headers]
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            return HttpAnswer(
                400, "Content-Length and Transfer-Encoding exclude each other: send one of them.", (CLOSE,)
            )
        if version == "1.0":
            return HttpAnswer(400, "HTTP/1.0 has no Transfer-Encoding: send Content-Length.", (CLOSE,))
    if sum([len(name) + len(value) + _LINE_BYTES for name, value in headers]) > HEAD_BYTES:
        return HttpAnswer(431, f"The headers take more than {HEAD_BYTES} bytes: send fewer or shorter ones.", (CLOSE,))
    return None


@dataclass(frozen=True, slots=True)
class AccessCheck:
    """Checks the Host header and the token of requests; those for `free_paths` need no token.

    The Host header must name this machine: that keeps out web pages whose own name resolves to this machine. Where the
    server has a token, a client that shows it may use any name, and so may a request for a free path: a prober or a
    Prometheus knows the machine by the name of a service.
    """

    hosts: frozenset[str]
    token: bytes | None = None
    free_paths: frozenset[str] = frozenset()

    def is_trusted(self, head: Head) -> bool:
        """Tell whether a request shows the token, or needs none."""
        if self.token is None:
            return True
        return shows_token(headers_of(head).get(b"authorization", b"").decode("latin-1"), self.token)

    def rejection(self, head: Head, *, is_trusted: bool) -> HttpAnswer | None:
        """Return why a request is refused, if it is."""
        unclear = framing_error(head)
        if unclear is not None:
            return unclear
        hosts = [value for name, value in head["headers"] if name == b"host"]
        host = host_name(hosts[0].decode("latin-1")) if len(hosts) == 1 else None
        if host is None:
            return HttpAnswer(400, "The Host header must name this machine, as in 127.0.0.1:9470.")
        is_open = is_trusted or head["path"] in self.free_paths
        if host not in self.hosts and not (is_open and self.token is not None) and not _is_own_address(host, head):
            return HttpAnswer(
                421,
                "The Host header names another machine: ask for 127.0.0.1, localhost or the address in `listen:`, "
                "or show the token.",
            )
        if is_open:
            return None
        why = "This listener asks for its token: send it as Authorization: Bearer TOKEN."
        return HttpAnswer(401, why, ((b"www-authenticate", b'Bearer realm="headrace"'),))


def _is_own_address(host: str, head: Head) -> bool:
    """Tell whether the connection of a request was made to this address."""
    server = head.get("server")
    return server is not None and host == plain_host(str(server[0]))
