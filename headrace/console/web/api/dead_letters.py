"""Dead letters over HTTP: list, show, replay and drop."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Final, TypeVar

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from headrace.clock import utc_now
from headrace.console.web.api.endpoint import (
    ApiError,
    Endpoint,
    ResponseSpec,
    check_json,
    checked,
    error_response,
    json_body,
)
from headrace.console.web.api.models import ChangedModel, DeadLetterList, DeadLetterModel
from headrace.dead_letters.dead_letter import LIST_CHARACTERS, dead_letter_json
from headrace.dead_letters.service import DeadLetterService
from headrace.dead_letters.store import DeadLetterCounts, DeadLetterFilter, DeadLetterStore
from headrace.errors import HeadraceError
from headrace.pipeline.topology.topology import Topology
from headrace.stages.options import DurationField, Options, RateField

PATH: Final = "/api/dead-letters"

BODY_BYTES: Final = 64 * 1024
"""Room for some thousand numbers; a larger selection uses the other fields."""

_EXAMPLE: Final = "curl -X POST -H 'content-type: application/json' -d '{\"stages\": [\"price\"]}'"

_REJECTIONS: Final = {
    404: "The pipeline stores no dead letters.",
    503: "The run has not started, or has ended; or the store fails.",
}

_BAD_VALUES: Final = {422: "A key or a value is wrong."}

W = TypeVar("W", bound="DeadLetterSelection")


class DeadLetterSelection(Options):
    """Selects the dead letters of a change: every given field must match, or `all`."""

    ids: frozenset[int] | None = Field(default=None, description="Their numbers.")
    stages: frozenset[str] | None = Field(default=None, description="The stages where they failed.")
    errors: frozenset[str] | None = Field(default=None, description="The classes of their errors.")
    older: DurationField | None = Field(default=None, description="Only letters that failed longer ago, as in 1h.")
    all: bool = Field(default=False, description="All letters, if no other field is given.")

    @property
    def is_empty(self) -> bool:
        """Whether no field is given."""
        return not self.all and all(value is None for value in (self.ids, self.stages, self.errors, self.older))


class ReplayRequest(DeadLetterSelection):
    """The dead letters to replay, and how many a second."""

    rate: RateField | None = Field(default=None, description="The limit of replays, as in 100/s.")


class ListQuery(Options):
    """The query of a list of dead letters, newest first."""

    stage: frozenset[str] | None = Field(default=None, description="The stages where they failed; may be given again.")
    error: frozenset[str] | None = Field(default=None, description="The classes of their errors; may be given again.")
    older: DurationField | None = Field(default=None, description="Only letters that failed longer ago, as in 1h.")
    waiting: bool | None = Field(default=None, description="Whether they wait to be replayed.")
    limit: Annotated[int, Field(ge=1, le=500)] = Field(default=50, description="The limit of the list.")
    before: int | None = Field(default=None, description="Only letters before this number, for the next page.")


class DeadLetterApi:
    """The endpoints for the dead letters of one pipeline; other pipelines in the same store are not shown."""

    def __init__(self, topology: Topology, redactor: Callable[[str], str]) -> None:
        self._topology = topology
        self._redactor = redactor

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of dead letters."""
        return (
            Endpoint(
                name="list_dead_letters",
                method="GET",
                path=PATH,
                handler=self.list,
                summary="List dead letters, newest first, without their tracebacks.",
                query=ListQuery,
                answers={200: ResponseSpec("A page of letters.", (DeadLetterList,))},
                rejections=_REJECTIONS | _BAD_VALUES,
            ),
            Endpoint(
                name="show_dead_letter",
                method="GET",
                path=f"{PATH}/{{number:int}}",
                handler=self.show,
                summary="Show one whole letter.",
                path_descriptions={"number": "The letter's `id`."},
                answers={200: ResponseSpec("The letter.", (DeadLetterModel,))},
                rejections=_REJECTIONS | {404: "There is no such letter, or the pipeline stores none."},
            ),
            _change("replay", self.replay, "Replay letters into the stages where they failed.", ReplayRequest),
            _change("cancel", self.cancel, "Cancel the replay of letters that wait for it.", DeadLetterSelection),
            _change("drop", self.drop, "Delete letters for good.", DeadLetterSelection),
        )

    async def list(self, request: Request) -> Response:
        """Return dead letters without their tracebacks: 200 with `total` and `dead_letters`."""
        return await self._answered(lambda store: self._list(store, request))

    async def show(self, request: Request) -> Response:
        """Return one whole dead letter: 200, or 404."""
        return await self._answered(lambda store: self._show(store, request.path_params["number"]))

    async def replay(self, request: Request) -> Response:
        """Request the replay of dead letters: 200 with how many are `changed`."""

        async def change(store: DeadLetterStore, which: DeadLetterFilter, selection: ReplayRequest) -> int:
            rate = None if selection.rate is None else selection.rate.per_second
            changed = await store.request_replay(which, rate)
            if self._service is not None:
                self._service.wake()
            return changed

        return await self._changed(request, ReplayRequest, change)

    async def cancel(self, request: Request) -> Response:
        """Cancel replays that have not begun: 200 with how many are `changed`."""
        return await self._changed(request, DeadLetterSelection, lambda store, which, _: store.cancel_replay(which))

    async def drop(self, request: Request) -> Response:
        """Delete dead letters for good: 200 with how many are `changed`."""
        return await self._changed(request, DeadLetterSelection, lambda store, which, _: store.drop(which))

    @property
    def has_store(self) -> bool:
        """Whether the pipeline stores dead letters."""
        return self._store is not None

    @property
    def _service(self) -> DeadLetterService | None:
        return self._topology.service(DeadLetterService)

    @property
    def _store(self) -> DeadLetterStore | None:
        return None if self._service is None else self._service.store

    def counts(self) -> DeadLetterCounts | None:
        """Return the counts of the store as of its last write; None without a store."""
        return None if self._store is None else self._store.counts()

    async def error(self) -> str | None:
        """Return why the store cannot be read now, or None when it can."""
        try:
            if self._store is not None:
                await self._store.count(_NO_DEAD_LETTER)
        except HeadraceError as error:
            return str(error)
        return None

    async def _list(self, store: DeadLetterStore, request: Request) -> Response:
        selection = checked(ListQuery, _query(request), 422)
        which = DeadLetterFilter(
            pipeline=self._topology.name,
            stages=selection.stage,
            errors=selection.error,
            before=_ago(selection.older),
            is_waiting_for_replay=selection.waiting,
        )
        found = await store.find(
            replace(which, before_id=selection.before), selection.limit, most_characters=LIST_CHARACTERS
        )
        values = [dead_letter_json(dead_letter, is_whole=False) for dead_letter in found]
        return JSONResponse({"total": await store.count(which), "dead_letters": values})

    async def _show(self, store: DeadLetterStore, number: int) -> Response:
        found = await store.find(DeadLetterFilter(ids=frozenset({number}), pipeline=self._topology.name), 1)
        if not found:
            return error_response(
                404, "there is no dead letter of this number: GET /api/dead-letters lists the existing ones"
            )
        return JSONResponse(dead_letter_json(found[0], is_whole=True))

    async def _changed(
        self, request: Request, model: type[W], change: Callable[[DeadLetterStore, DeadLetterFilter, W], Awaitable[int]]
    ) -> Response:
        """Change the dead letters that the body of a request selects."""

        async def answer(store: DeadLetterStore) -> Response:
            found = await _selection(request, model)
            name, before = self._topology.name, _ago(found.older)
            which = DeadLetterFilter(found.ids, name, found.stages, found.errors, before)
            return JSONResponse({"changed": await change(store, which, found)})

        return await self._answered(answer)

    async def _answered(self, answer: Callable[[DeadLetterStore], Awaitable[Response]]) -> Response:
        store = self._store
        if store is None:
            return error_response(404, "the pipeline stores no dead letters: its config has no key `dead_letters:`")
        if self._topology.state not in _OPEN:
            return error_response(503, "the dead letters are not open: the run has not started, or has ended")
        try:
            return await answer(store)
        except HeadraceError as error:
            return error_response(503, self._redactor(str(error)))


_NO_DEAD_LETTER: Final = DeadLetterFilter(ids=frozenset({0}))

_OPEN: Final = frozenset({"running", "draining"})


def _change(
    verb: str, handler: Callable[[Request], Awaitable[Response]], summary: str, body: type[DeadLetterSelection]
) -> Endpoint:
    return Endpoint(
        name=f"{verb}_dead_letters",
        method="POST",
        path=f"{PATH}/{verb}",
        handler=handler,
        summary=summary,
        body=body,
        answers={200: ResponseSpec("The count of changed letters.", (ChangedModel,))},
        rejections=_REJECTIONS | _BAD_VALUES,
    )


async def _selection(request: Request, model: type[W]) -> W:
    """Return the body of a change. Raises `ApiError`."""
    check_json(request, _EXAMPLE)
    selection = checked(model, await json_body(request, BODY_BYTES), 422)
    if selection.is_empty:
        raise ApiError(422, "say which letters: `ids`, `stages`, `errors` or `older`, or `all: true`")
    return selection


def _query(request: Request) -> dict[str, object]:
    """Return the query; a repeatable key has a list."""
    given = request.query_params
    return {key: given.getlist(key) if key in {"stage", "error"} else given[key] for key in given}


def _ago(seconds: float | None) -> datetime | None:
    """Return the time `seconds` ago. Raises `ApiError` when it is before the year 1."""
    try:
        return None if seconds is None else utc_now() - timedelta(seconds=seconds)
    except OverflowError:
        error_found = ApiError(422, "`older` reaches back before the year 1: give a shorter time")
    raise error_found
