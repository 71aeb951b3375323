"""The OpenAPI document of endpoints. Pure: it is made of their declarations, and of nothing else."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from headrace.console.web.api.answer_values import ErrorAnswer
from headrace.console.web.api.endpoint import Endpoint, Models

Schema = dict[str, object]

_REF: Final = "#/components/schemas/{model}"

_DOOR: Final[Mapping[int, str]] = {
    400: "The Host header names nobody.",
    401: "The listener has a token, and it was not shown.",
    421: "The Host header names another machine.",
}
"""What the door says, in plain text."""

_BODY: Final[Mapping[int, str]] = {
    400: "The body is no JSON.",
    413: "The body is too long.",
    415: "The body is not sent as application/json.",
}

_TEXT: Final[Schema] = {"text/plain": {"schema": {"type": "string"}}}


def document(endpoints: Iterable[Endpoint], version: str) -> Schema:
    """Return the document, in version 3.1 of OpenAPI."""
    listed = list(endpoints)
    paths: dict[str, Schema] = {}
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


def _operation(endpoint: Endpoint) -> Schema:
    made: Schema = {"operationId": endpoint.name, "summary": endpoint.summary}
    parameters = [*_path_parameters(endpoint), *_query_parameters(endpoint)]
    if parameters:
        made["parameters"] = parameters
    if endpoint.body is not None:
        made["requestBody"] = {"required": endpoint.is_body_needed, "content": _json((endpoint.body,))}
    made["responses"] = _responses(endpoint)
    return made


def _path_parameters(endpoint: Endpoint) -> Iterator[Schema]:
    for name, kind in endpoint.path_types.items():
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": endpoint.words[name],
            "schema": {"type": kind},
        }


def _query_parameters(endpoint: Endpoint) -> Iterator[Schema]:
    if endpoint.query is None:
        return
    schema = endpoint.query.model_json_schema()
    for name, found in schema["properties"].items():
        # A query cannot say null: to leave a word out is to say nothing.
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


def _responses(endpoint: Endpoint) -> Schema:
    """Return each answer by its status: what is declared, what any wrong body gets, and what the door says."""
    said: dict[int, tuple[list[str], Schema]] = {}

    def say(status: int, why: str, content: Schema) -> None:
        reasons, contents = said.setdefault(status, ([], {}))
        reasons.append(why)
        contents.update(content)

    for status, answer in endpoint.answers.items():
        is_refusal_too = status in endpoint.refusals
        say(status, answer.why, _json((*answer.models, ErrorAnswer) if is_refusal_too else answer.models))
    for status, why in endpoint.refusals.items():
        say(status, why, {} if status in endpoint.answers else _json((ErrorAnswer,)))
    for status, why in _BODY.items() if endpoint.body is not None else ():
        say(status, why, _json((ErrorAnswer,)))
    for status, why in _DOOR.items():
        say(status, why, _TEXT)
    return {
        str(status): {"description": " ".join(reasons), "content": content}
        for status, (reasons, content) in sorted(said.items())
    }


def _json(models: Models) -> Schema:
    schemas: list[Schema] = [{"$ref": _REF.format(model=model.__name__)} for model in models]
    return {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}


def _schemas(endpoints: Iterable[Endpoint]) -> Schema:
    wanted: dict[type[BaseModel], Literal["validation", "serialization"]] = {ErrorAnswer: "serialization"}
    for endpoint in endpoints:
        if endpoint.body is not None:
            wanted[endpoint.body] = "validation"
        for answer in endpoint.answers.values():
            wanted.update(dict.fromkeys(answer.models, "serialization"))
    _, found = models_json_schema([*wanted.items()], ref_template=_REF)
    return cast("Schema", found["$defs"])
