"""The ASGI app: routes, health, readiness."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from headrace import __version__
from headrace.config.check.stage_names import expanded_names
from headrace.config.jobs import registries_of
from headrace.config.keys.pipeline import ListenKeys
from headrace.config.pipeline import Pipeline
from headrace.console.web.api.dead_letters import DeadLetterApi
from headrace.console.web.api.endpoint import Endpoint, ResponseSpec, document
from headrace.console.web.api.models import OpenApiDocument
from headrace.console.web.api.registries import Registries, RegistryApi
from headrace.console.web.api.stages import StageApi
from headrace.console.web.auth import TRUSTED, HostAndTokenCheck, access_check
from headrace.console.web.metrics_endpoint import MetricsExporter
from headrace.jobs.metrics import JobsProbe
from headrace.pipeline.topology.snapshot import StageSnapshot, TopologySnapshot
from headrace.pipeline.topology.topology import Topology

_AT_WORK: Final = frozenset({"running", "completed"})
"""The states of a healthy stage, and of a healthy pipeline: one source may complete before another."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The response for probes; `body` is its JSON."""

    is_ready: bool
    body: dict[str, object]


def readiness(
    name: str,
    state: str,
    snapshot: TopologySnapshot | None,
    *,
    is_trusted: bool,
    redactor: Callable[[str], str] = str,
) -> Readiness:
    """Return the readiness of a pipeline: ready when it runs or has completed, and no stage of it has failed.

    A run that has completed and stays, as with `--forever`, is ready: an orchestrator would wait for it otherwise. A
    running pipeline is "degraded", and not ready, while a stage stalls, which `stalls` names in a sentence, and while a
    connection of a stage is down.

    A client that is not trusted sees only the class of an error, since its sentence may hold data; `redactor` hides
    secrets for all clients.
    """
    stages = () if snapshot is None else snapshot.stages
    at_work = all(stage.state in _AT_WORK for stage in stages)
    stalls = [str(stage.stall) for stage in stages if stage.stall is not None]
    is_connected = all(one.is_up for stage in stages for one in stage.connections)
    shown_state = "degraded" if state == "running" and (stalls or not is_connected) else state
    shown = [_stage(stage, redactor, is_trusted=is_trusted) for stage in stages]
    is_ready = shown_state in _AT_WORK and at_work
    body = {
        "ready": is_ready,
        "pipeline": name,
        "state": shown_state,
        "stalls": stalls,
        "stages": shown,
    }
    return Readiness(is_ready, body)


def with_store(
    result: Readiness,
    key: str,
    error: str | None,
    *,
    is_trusted: bool,
    redactor: Callable[[str], str] = str,
    **more: object,
) -> Readiness:
    """Return the readiness with a store of the run and `more` about it; not ready when it failed with `error`."""
    shown = error if error is None else redactor(error) if is_trusted else "the store fails"
    store = {"store": "open" if error is None else "failed", "error": shown, **more}
    is_ready = result.is_ready and error is None
    return Readiness(is_ready, {**result.body, "ready": is_ready, key: store})


def _stage(stage: StageSnapshot, redactor: Callable[[str], str], *, is_trusted: bool) -> dict[str, object]:
    def shown(error: str | None) -> str | None:
        if error is None:
            return None
        return redactor(error) if is_trusted else redactor(error).partition(":")[0]

    connections = [{"connection": one.kind, "is_up": one.is_up, "error": shown(one.error)} for one in stage.connections]
    return {
        "stage": stage.name,
        "kind": stage.kind,
        "state": stage.state,
        "error": shown(stage.error),
        "connections": connections,
    }


_WORKING: Final = frozenset({"running", "draining"})

_INDEX: Final = """\
headrace {version}: the pipeline {name} is {state}.

/metrics  metrics for Prometheus
/ready    whether every stage works
/health   whether this process is alive

/api/stages        the stages: list, pause, resume and change them
/api/openapi.json  the description of everything under /api
"""

_REGISTRIES: Final = "\n/api/registry/NAME/KEY  PUT starts the work of a key, GET returns its result; NAME: {names}\n"

_DEAD_LETTERS: Final = "\n/api/dead-letters  events that failed for good\n"


class _Answers:
    """The endpoints of one pipeline, which may not have been started yet."""

    def __init__(self, topology: Topology, redactor: Callable[[str], str]) -> None:
        self._topology = topology
        self._redactor = redactor
        jobs = topology.jobs if isinstance(topology, Pipeline) else None
        self._probe = None if jobs is None else JobsProbe(jobs)
        self.stages = StageApi(topology, _types(topology), redactor)
        self.dead_letters = DeadLetterApi(topology, redactor)
        self.exporter = MetricsExporter(self._snapshot, self._probe, self.dead_letters.counts, self._stores)
        self.registry = RegistryApi(_registries(topology), lambda: topology.state == "running", redactor)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return all endpoints of /api: each has a route and is in the OpenAPI document."""
        described = Endpoint(
            name="openapi",
            method="GET",
            path="/api/openapi.json",
            handler=self.openapi,
            summary="Describe this API.",
            answers={200: ResponseSpec("This document.", (OpenApiDocument,))},
        )
        return (described, *self.stages.endpoints(), *self.registry.endpoints(), *self.dead_letters.endpoints())

    def _snapshot(self) -> TopologySnapshot | None:
        return None if self._topology.state == "new" else self._topology.snapshot()

    async def _stores(self) -> Mapping[str, bool]:
        """Return whether each of the run's own stores can be used; empty after the run, which closes its stores."""
        topology = self._topology
        found: dict[str, bool] = {}
        if topology.state not in _WORKING:
            return found
        if self._probe is not None:
            found["jobs"] = await self._probe.error() is None
        if self.dead_letters.has_store:
            found["dead_letters"] = await self.dead_letters.error() is None
        return found

    async def index(self, _: Request) -> Response:
        topology = self._topology
        text = _INDEX.format(version=__version__, name=topology.name, state=topology.state)
        names = ", ".join(sorted(_registries(topology)))
        text += _REGISTRIES.format(names=names) if names else ""
        return PlainTextResponse(text + (_DEAD_LETTERS if self.dead_letters.has_store else ""))

    async def openapi(self, _: Request) -> Response:
        return JSONResponse(document(self.endpoints(), __version__))

    async def metrics(self, request: Request) -> Response:
        asked = request.headers
        text = await self.exporter.scrape(asked.get("accept", ""), asked.get("accept-encoding", ""))
        headers = {"content-type": text.content_type, "vary": "accept, accept-encoding"}
        if text.content_encoding is not None:
            headers["content-encoding"] = text.content_encoding
        return Response(text.body, headers=headers)

    async def health(self, _: Request) -> Response:
        topology = self._topology
        return JSONResponse({"alive": True, "pipeline": topology.name, "state": topology.state, "version": __version__})

    async def ready(self, request: Request) -> Response:
        topology = self._topology
        is_trusted: bool = request.scope[TRUSTED]
        result = readiness(
            topology.name, topology.state, self._snapshot(), is_trusted=is_trusted, redactor=self._redactor
        )
        with_own_store = partial(with_store, is_trusted=is_trusted, redactor=self._redactor)
        if self._probe is not None:
            queues = [
                {"queue": name, "limit": one.limit, "running": one.running, "is_paused": one.is_paused}
                for name, one in self._probe.jobs.statistics().items()
            ]
            result = with_own_store(result, "jobs", await self._probe.error(), queues=queues)
        if self.dead_letters.has_store and topology.state == "running":
            result = with_own_store(result, "dead_letters", await self.dead_letters.error())
        return JSONResponse(result.body, 200 if result.is_ready else 503)


def _types(topology: Topology) -> dict[str, str]:
    """Return the types of the config's stages and of their copies, by name."""
    config = topology.config if isinstance(topology, Pipeline) else None
    stages = () if config is None else config.stages
    return {name: stage.type.name for stage in stages for name in (stage.name, *expanded_names(stage))}


def _registries(topology: Topology) -> Registries:
    """Return the registries that the config lists; HTTP can start no other worker."""
    config = topology.config if isinstance(topology, Pipeline) else None
    if config is None or config.jobs is None:
        return {}
    return {name: one for name, one in registries_of(config.jobs).items() if name in config.jobs.keys.registries}


@asynccontextmanager
async def listener_app(
    topology: Topology, keys: ListenKeys, redactor: Callable[[str], str] = str
) -> AsyncIterator[Starlette]:
    """Make the app of a pipeline, with the access check of `keys`; its thread ends with the block.

    `redactor` hides secrets in the sentence of an error.
    """
    answers = _Answers(topology, redactor)
    routes = [
        Route("/", answers.index),
        Route("/metrics", answers.metrics),
        Route("/health", answers.health),
        Route("/ready", answers.ready),
        *(endpoint.route for endpoint in answers.endpoints()),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(HostAndTokenCheck, access_check(keys))])
    app.router.redirect_slashes = False
    app.state.endpoints = answers.endpoints()
    try:
        yield app
    finally:
        answers.exporter.close()
