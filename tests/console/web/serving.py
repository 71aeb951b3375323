"""A listener on a free port, over a topology, for as long as a test asks it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from headrace import __version__
from headrace.config.keys.pipeline import ListenKeys
from headrace.console.web.api.endpoint import document
from headrace.console.web.app import listener_app
from headrace.http.address import bind, port_of
from headrace.http.server import HttpLimits, HttpServer
from headrace.pipeline.topology.topology import Topology
from tests.console.web.api.documented import Documented

TOKEN = "sesame"  # noqa: S105 - it opens nothing but these tests


@asynccontextmanager
async def served(
    topology: Topology, limits: HttpLimits | None = None, /, **said: object
) -> AsyncIterator[httpx2.AsyncClient]:
    """Answer for a topology; `said` are keys of `listen:` beside the address.

    What is answered under /api is held against the OpenAPI document.
    """
    keys = ListenKeys.model_validate({"address": "127.0.0.1:0", **said})
    sockets = bind(keys.address, asks_token=keys.token is not None)
    base = f"http://127.0.0.1:{port_of(sockets[0])}"
    async with listener_app(topology, keys) as app, HttpServer(app, limits).serving(sockets):
        documented = Documented(document(app.state.endpoints, __version__))
        async with httpx2.AsyncClient(base_url=base, event_hooks={"response": [documented.check]}) as client:
            yield client
