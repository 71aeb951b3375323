"""Registries over HTTP: PUT starts the work of a key, GET returns its result."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from headrace.console.web.api.endpoint import Endpoint, ResponseSpec, error_response
from headrace.console.web.api.models import Enqueued, FailedWork, FoundValue, Nothing, NoWork, PendingWork
from headrace.errors import HeadraceError
from headrace.jobs.errors import BadArguments, NotBound
from headrace.jobs.results import JobRegistry
from headrace.stages.jobs import Called, called_with, encoded

PATH: Final = "/api/registry/{name}/{key:path}"

BODY_BYTES: Final = 1024
"""The limit of a body, which has no content."""

_STATUS: Final = {"found": 200, "failed": 200, "pending": 202, "not found": 404}

_PATH_PARTS: Final = {
    "name": "The registry's name, or that of its worker.",
    "key": "The key: text, or JSON where the worker takes no text; a JSON object of arguments where it takes several. "
    "What follows may have slashes.",
}

_REJECTIONS: Final = {
    404: "There is no registry of that name.",
    422: "The worker cannot be called with that key.",
    503: "The jobs are not open, take no new work, or their store fails.",
}

RegistryWork = Callable[[JobRegistry[..., object], Called], Awaitable[Response]]
Registries = Mapping[str, JobRegistry[..., object]]


class RegistryApi:
    """The endpoints for the registries of a run; `takes_in` returns whether new work is accepted."""

    def __init__(self, registries: Registries, takes_in: Callable[[], bool], redactor: Callable[[str], str]) -> None:
        self._registries = registries
        self._takes_in = takes_in
        self._redactor = redactor

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of registries."""
        return (
            Endpoint(
                name="add_key",
                method="PUT",
                path=PATH,
                handler=self.put,
                summary="Start the work of a key, unless it was started; do not wait for it.",
                path_descriptions=_PATH_PARTS,
                body=Nothing,
                is_body_needed=False,
                answers={
                    200: ResponseSpec("The work was started before.", (Enqueued,)),
                    202: ResponseSpec("The work is enqueued.", (Enqueued,)),
                },
                rejections=_REJECTIONS | {422: "The worker cannot be called with that key, or the body is not empty."},
            ),
            Endpoint(
                name="find_key",
                method="GET",
                path=PATH,
                handler=self.get,
                summary="Show the state of a key, and its result.",
                path_descriptions=_PATH_PARTS,
                answers={
                    200: ResponseSpec("The work has ended.", (FoundValue, FailedWork)),
                    202: ResponseSpec("The work is in progress, or waits.", (PendingWork,)),
                    404: ResponseSpec("The work of that key was never started.", (NoWork,)),
                },
                rejections=_REJECTIONS,
            ),
        )

    async def put(self, request: Request) -> Response:
        """Start the work of a key: 202, or 200 where it was started before. The response does not wait for its end."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return error_response(
                415, "send application/json, as in: curl -X PUT -H 'content-type: application/json' -d '{}'"
            )
        rejection = await _body_rejection(request)
        if rejection is not None:
            return rejection
        if not self._takes_in():
            return error_response(503, "the run takes no new work: it has not started, or is about to end")
        return await self._answered(request, self._add)

    async def get(self, request: Request) -> Response:
        """Return the state of a key: 200 found or failed, 202 pending, 404 not found."""
        return await self._answered(request, self._find)

    async def _add(self, registry: JobRegistry[..., object], key: Called) -> Response:
        positional, named = key
        handle = await registry.add(*positional, **named)
        return JSONResponse({"job": handle.id, "is_conflict": handle.is_conflict}, 200 if handle.is_conflict else 202)

    async def _find(self, registry: JobRegistry[..., object], key: Called) -> Response:
        positional, named = key
        values = encoded(registry, await registry.find(*positional, **named))
        return JSONResponse(values, _STATUS[str(values["state"])])

    async def _answered(self, request: Request, answer: RegistryWork) -> Response:
        name = request.path_params["name"]
        registry = self._registries.get(name)
        if registry is None:
            known = ", ".join(sorted(self._registries)) or "none"
            return error_response(404, f"there is no registry of that name under jobs.registries: there are {known}")
        try:
            return await answer(registry, called_with(registry, request.path_params["key"]))
        except BadArguments as error:
            return error_response(422, str(error))
        except NotBound:
            return error_response(503, "the jobs are not open: the run has not started, or has ended")
        except HeadraceError as error:
            return error_response(503, self._redactor(str(error)))


async def _body_rejection(request: Request) -> Response | None:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            return error_response(413, "the body must be an empty JSON object")
    try:
        if body and json.loads(body) != {}:
            return error_response(422, "the body must be an empty JSON object")
    except (ValueError, RecursionError):
        return error_response(400, "the body is no JSON")
    return None
