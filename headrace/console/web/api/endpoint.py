"""`Endpoint`, an HTTP method of a path declared once; the OpenAPI document of all endpoints."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headrace.console.web.api.models import ErrorAnswer
from headrace.errors.validation import sentence

M = TypeVar("M", bound=BaseModel)


class ApiError(Exception):
    """A request is rejected; `answer` is the response with the status and the reason."""

    def __init__(self, status: int, why: str) -> None:
        self.answer = error_response(status, why)
        super().__init__(why)


def error_response(status: int, why: str) -> Response:
    """Return a response with a status and the reason as `error`."""
    return JSONResponse({"error": why}, status)


def check_json(request: Request, example: str) -> None:
    """Raise `ApiError` unless the request is sent as JSON, which a page of another origin cannot do."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, f"send application/json, as in: {example}")


async def json_body(request: Request, most_bytes: int) -> object:
    """Return the body, at most `most_bytes` long. Raises `ApiError`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise ApiError(413, f"the body is longer than {most_bytes} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    raise ApiError(400, "the body is no JSON")


def checked(model: type[M], value: object, status: int) -> M:
    """Return the checked value. Raises `ApiError` with `status`, which names the first wrong key."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        rejection = ApiError(status, _why(model, first))
    raise rejection


def _why(model: type[BaseModel], first: ErrorDetails) -> str:
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        return f"`{where}` is not known here: there are {', '.join(model.model_fields)}"
    return sentence(where, dict(first))


Method = Literal["GET", "POST", "PUT", "PATCH"]

Models = tuple[type[BaseModel], ...]

_CONVERTER: Final = re.compile(r"{(\w+)(?::(\w+))?}")


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """The response of one status: a sentence, and the models of its JSON, which is one of them."""

    why: str
    models: Models


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A method of a path: its handler, its parameters, and each of its responses by status.

    `rejections` are statuses with only a sentence (`{"error": ...}`), each with its reason; `document` adds the
    statuses of the access check and of wrong bodies. `path_descriptions` explains the parts of the path.
    """

    name: str
    method: Method
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    summary: str
    answers: Mapping[int, ResponseSpec]
    rejections: Mapping[int, str] = field(default_factory=dict)
    path_descriptions: Mapping[str, str] = field(default_factory=dict)
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    is_body_needed: bool = True

    @property
    def route(self) -> Route:
        """The route for Starlette; an `ApiError` that the handler raises is the response."""
        return Route(self.path, self._answered, methods=[self.method])

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it: `/a/{number}`."""
        return _CONVERTER.sub(r"{\1}", self.path)

    @property
    def path_types(self) -> dict[str, str]:
        """The parts of the path and their JSON types."""
        found: list[tuple[str, str]] = _CONVERTER.findall(self.path)
        return {name: "integer" if converter == "int" else "string" for name, converter in found}

    async def _answered(self, request: Request) -> Response:
        try:
            return await self.handler(request)
        except ApiError as rejection:
            return rejection.answer


OpenApiSchema = dict[str, object]

_REF: Final = "#/components/schemas/{model}"

_ACCESS: Final[Mapping[int, str]] = {
    400: "The Host header is missing or wrong.",
    401: "The listener has a token, and it was not shown.",
    421: "The Host header names another machine.",
}
"""The responses of the access check, in plain text."""

_BODY: Final[Mapping[int, str]] = {
    400: "The body is no JSON.",
    413: "The body is too long.",
    415: "The body is not sent as application/json.",
}

_TEXT: Final[OpenApiSchema] = {"text/plain": {"schema": {"type": "string"}}}


def document(endpoints: Iterable[Endpoint], version: str) -> OpenApiSchema:
    """Return the document, in version 3.1 of OpenAPI."""
    listed = list(endpoints)
    paths: dict[str, OpenApiSchema] = {}
    for endpoint in listed:
        paths.setdefault(endpoint.template, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "headrace",
            "version": version,
            "description": "The API of a run. Without a token it answers this machine only.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(listed),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "`listen: {token: ...}`"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(endpoint: Endpoint) -> OpenApiSchema:
    made: OpenApiSchema = {"operationId": endpoint.name, "summary": endpoint.summary}
    parameters = [*_path_parameters(endpoint), *_query_parameters(endpoint)]
    if parameters:
        made["parameters"] = parameters
    if endpoint.body is not None:
        made["requestBody"] = {"required": endpoint.is_body_needed, "content": _json((endpoint.body,))}
    made["responses"] = _responses(endpoint)
    return made


def _path_parameters(endpoint: Endpoint) -> Iterator[OpenApiSchema]:
    for name, kind in endpoint.path_types.items():
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": endpoint.path_descriptions[name],
            "schema": {"type": kind},
        }


def _query_parameters(endpoint: Endpoint) -> Iterator[OpenApiSchema]:
    if endpoint.query is None:
        return
    schema = endpoint.query.model_json_schema()
    for name, found in schema["properties"].items():
        # A query has no null: an absent parameter is the default.
        kinds = [one for one in found.get("anyOf", []) if one != {"type": "null"}]
        kept = {key: found[key] for key in found if key not in {"anyOf", "title", "description"}}
        if kept.get("default", ...) is None:
            del kept["default"]
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "description": found["description"],
            "schema": {**kept, **kinds[0]} if kinds else kept,
        }


def _responses(endpoint: Endpoint) -> OpenApiSchema:
    """Return each response by its status: declared ones, rejections of wrong bodies and of the access check."""
    responses: dict[int, tuple[list[str], OpenApiSchema]] = {}

    def add(status: int, why: str, content: OpenApiSchema) -> None:
        reasons, contents = responses.setdefault(status, ([], {}))
        reasons.append(why)
        contents.update(content)

    for status, answer in endpoint.answers.items():
        is_rejection_too = status in endpoint.rejections
        add(status, answer.why, _json((*answer.models, ErrorAnswer) if is_rejection_too else answer.models))
    for status, why in endpoint.rejections.items():
        add(status, why, {} if status in endpoint.answers else _json((ErrorAnswer,)))
    for status, why in _BODY.items() if endpoint.body is not None else ():
        add(status, why, _json((ErrorAnswer,)))
    for status, why in _ACCESS.items():
        add(status, why, _TEXT)
    return {
        str(status): {"description": " ".join(reasons), "content": content}
        for status, (reasons, content) in sorted(responses.items())
    }


def _json(models: Models) -> OpenApiSchema:
    schemas: list[OpenApiSchema] = [{"$ref": _REF.format(model=model.__name__)} for model in models]
    return {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}


def _schemas(endpoints: Iterable[Endpoint]) -> OpenApiSchema:
    wanted: dict[type[BaseModel], Literal["validation", "serialization"]] = {ErrorAnswer: "serialization"}
    for endpoint in endpoints:
        if endpoint.body is not None:
            wanted[endpoint.body] = "validation"
        for answer in endpoint.answers.values():
            wanted.update(dict.fromkeys(answer.models, "serialization"))
    _, found = models_json_schema([*wanted.items()], ref_template=_REF)
    return cast("OpenApiSchema", found["$defs"])
