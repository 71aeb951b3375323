"""Host header, bearer token, request head checks, and the answer to a refused request."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from hmac import compare_digest
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from headrace.http.address import Address
from headrace.units import format_size

_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def allowed_hosts(address: Address) -> frozenset[str]:
    """Return the names by which a listener at `address` may be called."""
    return _LOCAL_NAMES | {plain_host(address.host), socket.gethostname().lower()}


def shows_token(authorization: str, token: bytes) -> bool:
    """Tell whether an Authorization header, empty where there is none, shows the token as a bearer's."""
    scheme, _, shown = authorization.partition(" ")
    return scheme.lower() == "bearer" and compare_digest(shown.strip(" \t").encode("latin-1"), token)


def host_name(headers: Iterable[str]) -> str | None:
    """Return the name in a request's one Host header, without its port; None when it is none.

    >>> host_name(["[::1]:9470"])
    '::1'
    >>> host_name(["Shop.example"])
    'shop.example'
    >>> host_name(["a@b"])
    """
    found = list(headers)
    if len(found) != 1 or any(sign.isspace() or sign in "/?#@" for sign in found[0]):
        return None
    try:
        name = urlsplit(f"//{found[0]}").hostname
    except ValueError:
        return None
    return plain_host(name) if name else None


def plain_host(name: str) -> str:
    """Write one address one way: lower case, IPv6 in its short form."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower()


CLOSE: Final = ("connection", "close")
"""The header that says that the connection closes behind an answer."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A status, the sentence under it, and headers beside those that every answer has; names in lower case."""

    status: int
    text: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def reason(self) -> str:
        """The status' own words."""
        return HTTPStatus(self.status).phrase

    @property
    def body(self) -> bytes:
        """The sentence, or else the status' own words, as a line of text."""
        return f"{self.text or self.reason}\n".encode()


def later(status: int, text: str, seconds: int = 1) -> HttpAnswer:
    """Return an answer that asks to be tried again in some seconds."""
    return HttpAnswer(status, text, (("retry-after", str(seconds)),))


TYPES: Final[dict[str, frozenset[str]]] = {
    "json": frozenset({"application/json", "text/json"}),
    "ndjson": frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}),
}
"""The media types of what `decode` reads. No page of a browser may send one of them elsewhere unasked."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request; the names of `headers` in lower case, the path without its query."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    http_version: str = "1.1"

    def all_of(self, name: str) -> Iterable[str]:
        """Return the values of a header."""
        return [value for key, value in self.headers if key == name]

    def value(self, name: str) -> str:
        """Return the first value of a header, empty without one."""
        return next(iter(self.all_of(name)), "")


@dataclass(frozen=True, slots=True)
class AccessCheck:
    """What is let in: one path, one kind of body up to a size, and who calls this machine by one of `hosts`.

    With a token, whoever shows it may call the machine by any name.
    """

    path: str
    decode: str
    max_body: int
    hosts: frozenset[str]
    token: bytes | None = None

    def rejection(self, head: RequestHead) -> HttpAnswer | None:
        """Return why a request is not let in, if it is not."""
        return self._refused_asker(head) or self._refused_location(head) or self._refused_body(head)

    def too_large(self) -> HttpAnswer:
        """Return the answer to a body that is larger than it may be."""
        return HttpAnswer(413, f"The body is larger than {format_size(self.max_body)} (max_body): send it in pieces.")

    def _refused_asker(self, head: RequestHead) -> HttpAnswer | None:
        if self.token is not None:
            if shows_token(head.value("authorization"), self.token):
                return None
            why = "This listener asks for its token: send it as Authorization: Bearer TOKEN."
            return HttpAnswer(401, why, (("www-authenticate", 'Bearer realm="headrace"'),))
        host = host_name(head.all_of("host"))
        if host is None:
            return HttpAnswer(400, "The Host header must name this machine, as in 127.0.0.1:8080.")
        if host not in self.hosts:
            return HttpAnswer(421, "The Host header names another machine: ask for the address in `listen`.")
        return None

    def _refused_location(self, head: RequestHead) -> HttpAnswer | None:
        if head.path != self.path:
            return HttpAnswer(404, f"Nothing is here: events go to {self.path}.")
        if head.method != "POST":
            return HttpAnswer(405, "Events are sent with POST.", (("allow", "POST"),))
        return None

    def _refused_body(self, head: RequestHead) -> HttpAnswer | None:
        if head.value("content-encoding").strip().lower() not in ("", "identity"):
            return HttpAnswer(415, "The body is compressed: send it as it is.", (("accept-encoding", "identity"),))
        kinds = TYPES[self.decode]
        if head.value("content-type").partition(";")[0].strip().lower() not in kinds:
            return HttpAnswer(415, f"The body must be {self.decode.upper()}: send Content-Type: {min(kinds)}.")
        length = head.value("content-length")
        if length.isdigit() and int(length) > self.max_body:
            return self.too_large()
        return None
