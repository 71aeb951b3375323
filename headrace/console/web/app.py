"""What the listener answers: metrics, health and readiness of one pipeline."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from headrace import __version__
from headrace.config.model import ListenKeys
from headrace.console.web.door import TRUSTED, Door, rules
from headrace.console.web.exposition import Exposer
from headrace.console.web.readiness import readiness
from headrace.pipeline.topology.snapshot import TopologySnapshot
from headrace.pipeline.topology.topology import Topology

_INDEX: Final = """\
headrace {version}: the pipeline {name} is {state}.

/metrics  its numbers, for Prometheus
/ready    whether every stage does its work
/health   whether this process is alive
"""


class _Answers:
    """The endpoints, over one pipeline, which may not have been started yet."""

    def __init__(self, topology: Topology, mask: Callable[[str], str]) -> None:
        self._topology = topology
        self._mask = mask
        self.exposer = Exposer(self._snapshot)

    def _snapshot(self) -> TopologySnapshot | None:
        return None if self._topology.state == "new" else self._topology.snapshot()

    async def index(self, _: Request) -> Response:
        topology = self._topology
        return PlainTextResponse(_INDEX.format(version=__version__, name=topology.name, state=topology.state))

    async def metrics(self, request: Request) -> Response:
        text = await self.exposer.scrape(request.headers.get("accept", ""))
        return Response(text.body, headers={"content-type": text.content_type})

    async def health(self, _: Request) -> Response:
        topology = self._topology
        return JSONResponse({"alive": True, "pipeline": topology.name, "state": topology.state, "version": __version__})

    async def ready(self, request: Request) -> Response:
        topology = self._topology
        judged = readiness(
            topology.name, topology.state, self._snapshot(), is_trusted=request.scope[TRUSTED], mask=self._mask
        )
        return JSONResponse(judged.body, 200 if judged.is_ready else 503)


@asynccontextmanager
async def listener_app(
    topology: Topology, keys: ListenKeys, mask: Callable[[str], str] = str
) -> AsyncIterator[Starlette]:
    """Make the app of a pipeline, behind a door as `keys` say; its thread ends with the block.

    `mask` hides in the sentence of an error what must not be shown.
    """
    answers = _Answers(topology, mask)
    routes = [
        Route("/", answers.index),
        Route("/metrics", answers.metrics),
        Route("/health", answers.health),
        Route("/ready", answers.ready),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Door, rules(keys))])
    app.router.redirect_slashes = False
    try:
        yield app
    finally:
        answers.exposer.close()
