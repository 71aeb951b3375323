"""The access check of the console's HTTP API: allowed Host headers, and the token."""

from contextlib import suppress
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.config.keys.pipeline import ListenKeys
from headrace.http.access import AccessCheck, allowed_hosts, send_answer

TRUSTED: Final = "headrace.trusted"
"""The scope's key: whether the client has shown the token, or no token is needed."""

FREE_PATHS: Final = frozenset({"/health", "/ready"})


def access_check(keys: ListenKeys) -> AccessCheck:
    """Return the access check of a config's `listen:`."""
    token = None if keys.token is None else keys.token.get_secret_value().encode()
    free = FREE_PATHS | {"/metrics"} if keys.metrics_public else FREE_PATHS
    return AccessCheck(allowed_hosts(keys.address), token, free)


class HostAndTokenCheck:
    """Passes a request on to `app`, or rejects it with the reason."""

    def __init__(self, app: ASGIApp, check: AccessCheck) -> None:
        self._app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        is_trusted = self._check.is_trusted(scope)
        rejection = self._check.rejection(scope, is_trusted=is_trusted)
        if rejection is not None:
            await send_answer(send, rejection)
            return
        scope[TRUSTED] = is_trusted
        with suppress(ClientDisconnect):  # no client is left to answer
            await self._app(scope, receive, send)
