"""Stages over HTTP: their state, and pausing, resuming and changing them while they run."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from headrace.console.web.api.endpoint import ApiError, Endpoint, ResponseSpec, check_json, checked, json_body
from headrace.console.web.api.models import Nothing, StageChange, StageList, StageValues
from headrace.errors import HeadraceError
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.handle import StageHandle
from headrace.pipeline.topology.snapshot import StageSnapshot
from headrace.pipeline.topology.topology import Topology

PATH: Final = "/api/stages"
ONE_PATH: Final = f"{PATH}/{{name}}"

BODY_BYTES: Final = 64 * 1024

_EXAMPLE: Final = "curl -X POST -H 'content-type: application/json' -d '{}'"
_CHANGE_EXAMPLE: Final = "curl -X PATCH -H 'content-type: application/json' -d '{\"concurrency\": 4}'"

_PATH_DESCRIPTIONS: Final = {"name": "The stage's name."}
_NOT_BEGUN: Final = {503: "The run has not started."}
_REJECTIONS: Final = {
    400: "A key or a value is wrong.",
    404: "There is no stage of that name.",
    409: "The stage cannot do that, or has ended.",
    **_NOT_BEGUN,
}


_change: Final = partial(
    Endpoint,
    path_descriptions=_PATH_DESCRIPTIONS,
    answers={200: ResponseSpec("The stage, after the change.", (StageValues,))},
    rejections=_REJECTIONS,
)


class StageApi:
    """The endpoints for the stages of one run; `types` are the stage types in the config, by stage name."""

    def __init__(self, topology: Topology, types: Mapping[str, str], redactor: Callable[[str], str]) -> None:
        self._topology = topology
        self._types = types
        self._redactor = redactor

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this class."""
        return (
            Endpoint(
                name="list_stages",
                method="GET",
                path=PATH,
                handler=self.list,
                summary="List the stages with their state, counts and demand.",
                answers={200: ResponseSpec("All stages.", (StageList,))},
                rejections=_NOT_BEGUN,
            ),
            Endpoint(
                name="show_stage",
                method="GET",
                path=ONE_PATH,
                handler=self.show,
                summary="Show one stage.",
                path_descriptions=_PATH_DESCRIPTIONS,
                answers={200: ResponseSpec("The stage.", (StageValues,))},
                rejections={404: _REJECTIONS[404], **_NOT_BEGUN},
            ),
            _change(
                name="pause_stage",
                method="POST",
                path=f"{ONE_PATH}/pause",
                handler=self.pause,
                summary="Pause a stage: it gets no new events until it is resumed; work in progress continues.",
                body=Nothing,
            ),
            _change(
                name="resume_stage",
                method="POST",
                path=f"{ONE_PATH}/resume",
                handler=self.resume,
                summary="Resume a paused stage.",
                body=Nothing,
            ),
            _change(
                name="change_stage",
                method="PATCH",
                path=ONE_PATH,
                handler=self.change,
                summary="Change the concurrency, buffer size and demand of a stage: all of them, or none.",
                body=StageChange,
            ),
        )

    async def list(self, _: Request) -> Response:
        """Return all stages: 200 with `stages`."""
        stages = [self._values(stage) for stage in self._stages().values()]
        listed = StageList(pipeline=self._topology.name, state=self._topology.state, stages=stages)
        return JSONResponse(listed.model_dump(mode="json"))

    async def show(self, request: Request) -> Response:
        """Return one stage: 200, or 404."""
        return self._response(request)

    async def pause(self, request: Request) -> Response:
        """Pause a stage: 200 with the stage, 409 while the run drains."""
        await _nothing(request)
        handle = self._running(request)
        if self._topology.state != "running":
            raise ApiError(409, f"the run is {self._topology.state}, so no stage can be paused")
        handle.pause()
        return self._response(request)

    async def resume(self, request: Request) -> Response:
        """Resume a stage, which need not be paused: 200 with the stage."""
        await _nothing(request)
        self._running(request).resume()
        return self._response(request)

    async def change(self, request: Request) -> Response:
        """Change a stage: 200 with the stage; 409, with nothing changed, when one of the changes does not fit it."""
        check_json(request, _CHANGE_EXAMPLE)
        change = checked(StageChange, await json_body(request, BODY_BYTES), 400)
        handle = self._running(request)
        _check(self._stage(request), change)
        try:
            _apply(handle, change)
        except HeadraceError as error:  # a stage that still opens cannot scale yet
            raise ApiError(409, self._redactor(str(error))) from error
        return self._response(request)

    def _stages(self) -> dict[str, StageSnapshot]:
        """Return the stages by name. Raises `ApiError`."""
        if self._topology.state == "new":
            raise ApiError(503, "the run has not begun")
        return {stage.name: stage for stage in self._topology.snapshot().stages}

    def _stage(self, request: Request) -> StageSnapshot:
        """Return the stage that the path names. Raises `ApiError`."""
        stages, name = self._stages(), request.path_params["name"]
        if name not in stages:
            raise ApiError(404, f"there is no stage of that name: there are {', '.join(stages)}")
        return stages[name]

    def _running(self, request: Request) -> StageHandle[Stage]:
        """Return the handle of the stage that the path names. Raises `ApiError` when it has ended."""
        stage = self._stage(request)
        if stage.state in {"completed", "stopped"}:
            raise ApiError(409, f"stage {stage.name!r} has ended: it is {stage.state}")
        return self._topology.stage(stage.name)

    def _response(self, request: Request) -> Response:
        return JSONResponse(self._values(self._stage(request)).model_dump(mode="json"))

    def _values(self, stage: StageSnapshot) -> StageValues:
        return StageValues.of(stage, self._types.get(stage.name), self._redactor)


async def _nothing(request: Request) -> None:
    """Read a body, which must be an empty object. Raises `ApiError`."""
    check_json(request, _EXAMPLE)
    checked(Nothing, await json_body(request, BODY_BYTES), 400)


def _check(stage: StageSnapshot, change: StageChange) -> None:
    """Raise `ApiError` when the change does not fit this stage, before anything is changed."""
    if change.concurrency is not None and stage.concurrency is None:
        why = "handles batches one after another: give it a concurrency above 1, or an executor, before the start"
        raise ApiError(409, f"stage {stage.name!r} {why}")
    if change.is_resize and stage.kind == "consumer":
        raise ApiError(409, f"stage {stage.name!r} is a consumer, and buffers nothing: resize the stage that feeds it")
    producers = [one.producer for one in stage.subscriptions]
    for producer in change.demand:
        if producer not in producers:
            known = ", ".join(map(repr, producers)) or "none"
            raise ApiError(409, f"stage {stage.name!r} is not subscribed to {producer!r:.100}; its producers: {known}")


def _apply(handle: StageHandle[Stage], change: StageChange) -> None:
    if change.concurrency is not None:
        handle.scale(change.concurrency)
    if change.is_resize:
        handle.resize(change.buffer_size)
    for subscription in handle.subscriptions():
        demand = change.demand.get(subscription.producer)
        if demand is not None:
            subscription.change(demand.max_demand, demand.min_demand)
