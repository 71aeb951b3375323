"""The access check of the listener: allowed Host headers, and the token."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.config.keys.pipeline import ListenKeys
from headrace.http.access import RequestHead, allowed_hosts, host_name, plain_host, shows_token
from headrace.http.framing import framing_error

TRUSTED: Final = "headrace.trusted"
"""The scope's key: whether the client has shown the token, or no token is needed."""

FREE_PATHS: Final = frozenset({"/health", "/ready"})


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The rules of the check: a Host that is one of `hosts`, and the token except on `free_paths`."""

    hosts: frozenset[str]
    token: bytes | None
    free_paths: frozenset[str]


def rules(keys: ListenKeys) -> AccessRules:
    """Return the rules of a config's `listen:`."""
    hosts = allowed_hosts(keys.address)
    token = None if keys.token is None else keys.token.get_secret_value().encode()
    free = FREE_PATHS | {"/metrics"} if keys.metrics_public else FREE_PATHS
    return AccessRules(hosts, token, free)


class HostAndTokenCheck:
    """Passes a request on to `app`, or rejects it with the reason.

    The Host header must name this machine: that keeps out web pages whose own name resolves to this machine. Where the
    listener has a token, a client that shows it may use any name, and so may a request for a free path: a prober or a
    Prometheus knows the machine by the name of a service.
    """

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        is_trusted = self._is_trusted(headers)
        head = RequestHead(scope["method"], scope["path"], tuple(headers.items()), scope["http_version"])
        unclear = framing_error(head)
        if unclear is None:
            rejection = self._rejection(scope, is_trusted=is_trusted)
        else:
            rejection = PlainTextResponse(unclear.body, unclear.status, dict(unclear.headers))
        if rejection is None:
            scope[TRUSTED] = is_trusted
            with suppress(ClientDisconnect):  # no client is left to answer
                await self._app(scope, receive, send)
        else:
            await rejection(scope, receive, send)

    def _is_trusted(self, headers: Headers) -> bool:
        token = self._rules.token
        if token is None:
            return True
        return shows_token(headers.get("authorization", ""), token)

    def _rejection(self, scope: Scope, *, is_trusted: bool) -> Response | None:
        host = host_name(Headers(scope=scope).getlist("host"))
        if host is None:
            return _sentence(400, "The Host header must name this machine, as in 127.0.0.1:9470.")
        is_free = scope["path"] in self._rules.free_paths
        is_any_name_fine = self._rules.token is not None and (is_trusted or is_free)
        if host not in self._known_hosts(scope) and not is_any_name_fine:
            return _sentence(
                421,
                "The Host header names another machine: ask for 127.0.0.1, localhost or the address in `listen:`, "
                "or show the token.",
            )
        if is_trusted or is_free:
            return None
        rejection = _sentence(401, "This listener asks for its token: send it as Authorization: Bearer TOKEN.")
        rejection.headers["www-authenticate"] = 'Bearer realm="headrace"'
        return rejection

    def _known_hosts(self, scope: Scope) -> frozenset[str]:
        """Return the names of this machine, with the address at which this very connection came in."""
        server = scope.get("server")
        return self._rules.hosts | {plain_host(str(server[0]))} if server else self._rules.hosts


def _sentence(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status)
