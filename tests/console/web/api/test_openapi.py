"""The OpenAPI document: it is valid, and says of every route of the API what it takes and answers."""

import re
from collections.abc import Iterator
from typing import Any

import fastjsonschema
import pytest
from starlette.routing import Route

from headrace.config.keys.pipeline import ListenKeys
from headrace.console.web.app import listener_app
from headrace.pipeline.topology.topology import Topology
from tests.console.web.serving import TOKEN, served

pytestmark = pytest.mark.asyncio

Node = dict[str, Any]

DOOR = {400, 401, 421}
BODY = {*DOOR, 413, 415}
LETTERS = {200, 404, 422, 503}

Operation = tuple[list[str], str | None, set[int]]

CHANGE: Operation = ([], "DeadLetterSelection", LETTERS | BODY)

OPERATIONS: dict[str, Operation] = {
    "GET /api/openapi.json": ([], None, {200, *DOOR}),
    "GET /api/stages": ([], None, {200, 503, *DOOR}),
    "GET /api/stages/{name}": (["name!"], None, {200, 404, 503, *DOOR}),
    "PATCH /api/stages/{name}": (["name!"], "StageChange", {200, 404, 409, 503, *BODY}),
    "POST /api/stages/{name}/pause": (["name!"], "Nothing", {200, 404, 409, 503, *BODY}),
    "POST /api/stages/{name}/resume": (["name!"], "Nothing", {200, 404, 409, 503, *BODY}),
    "GET /api/registry/{name}/{key}": (["name!", "key!"], None, {200, 202, 404, 422, 503, *DOOR}),
    "PUT /api/registry/{name}/{key}": (["name!", "key!"], "Nothing", {200, 202, 404, 422, 503, *BODY}),
    "GET /api/dead-letters": (
        ["stage", "error", "older", "waiting", "limit", "before"],
        None,
        LETTERS | DOOR,
    ),
    "GET /api/dead-letters/{number}": (["number!"], None, {200, 404, 503, *DOOR}),
    "POST /api/dead-letters/replay": ([], "ReplayRequest", LETTERS | BODY),
    "POST /api/dead-letters/cancel": CHANGE,
    "POST /api/dead-letters/drop": CHANGE,
}
"""Of each operation its parameters (`!`: must be given), its body, and its statuses."""


def _object(required: dict[str, Node], optional: dict[str, Node] | None = None) -> Node:
    said = {**required, **(optional or {})}
    return {"type": "object", "required": [*required], "properties": said, "additionalProperties": False}


def _map(names: str, of: Node) -> Node:
    return {"type": "object", "minProperties": 1, "patternProperties": {names: of}, "additionalProperties": False}


TEXT: Node = {"type": "string", "minLength": 1}
SCHEMA: Node = {"type": "object", "minProperties": 1}
CONTENT = _map(r"^(application/json|text/plain)$", _object({"schema": SCHEMA}))
PARAMETER = _object(
    {
        "name": TEXT,
        "in": {"enum": ["path", "query"]},
        "required": {"type": "boolean"},
        "description": TEXT,
        "schema": SCHEMA,
    }
)
OPERATION = _object(
    {
        "operationId": TEXT,
        "summary": TEXT,
        "responses": _map(r"^[1-5]\d\d$", _object({"description": TEXT, "content": CONTENT})),
    },
    {
        "parameters": {"type": "array", "minItems": 1, "items": PARAMETER},
        "requestBody": _object({"required": {"type": "boolean"}, "content": CONTENT}),
    },
)
DOCUMENT = _object(
    {
        "openapi": {"const": "3.1.0"},
        "info": _object({"title": TEXT, "version": TEXT, "description": TEXT}),
        "paths": _map("^/api/", _map("^(get|put|post|patch|delete)$", OPERATION)),
        "components": _object({"schemas": _map(r"^[\w.-]+$", SCHEMA), "securitySchemes": _map(r"^\w+$", SCHEMA)}),
        "security": {"type": "array", "items": {"type": "object"}},
    }
)
"""What we use of OpenAPI 3.1, by its specification."""


async def document() -> Node:
    async with served(Topology("shop")) as client:
        answer = await client.get("/api/openapi.json")
    assert answer.status_code == 200
    found: Node = answer.json()
    return found


def operations(found: Node) -> Iterator[tuple[str, Node]]:
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


async def test_every_route_of_the_api_is_in_the_document() -> None:
    keys = ListenKeys.model_validate({"address": "127.0.0.1:0"})
    async with listener_app(Topology("shop"), keys) as app:
        routes = {
            f"{method} {re.sub(r':[a-z]+}', '}', route.path)}"
            for route in app.routes
            if isinstance(route, Route) and route.path.startswith("/api")
            for method in (route.methods or set()) - {"HEAD"}
        }
    assert routes == {name for name, _ in operations(await document())}


async def test_the_document_says_of_each_operation_what_it_takes_and_answers() -> None:
    found = {}
    for name, operation in operations(await document()):
        parameters = [one["name"] + "!" * one["required"] for one in operation.get("parameters", ())]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        model = body["$ref"].rpartition("/")[2] if body else None
        found[name] = (parameters, model, {int(status) for status in operation["responses"]})
    assert found == OPERATIONS


async def test_the_document_is_valid() -> None:
    found = await document()
    fastjsonschema.validate(DOCUMENT, found)
    names = [operation["operationId"] for _, operation in operations(found)]
    assert len(names) == len(set(names))
    for name, operation in operations(found):
        said = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert said == set(re.findall(r"{(\w+)}", name))
    schemas = found["components"]["schemas"]
    for name in schemas:
        fastjsonschema.compile({"$ref": f"#/components/schemas/{name}", "components": found["components"]})
    references = {one.rpartition("/")[2] for one in re.findall(r"'\$ref': '(#/components/schemas/\w+)'", str(found))}
    assert references == set(schemas)


async def test_errors_are_a_sentence_and_the_door_speaks_plain_text() -> None:
    for _, operation in operations(await document()):
        for status, answer in operation["responses"].items():
            if status in {"413", "415", "422", "503"}:
                assert answer["content"] == {
                    "application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}
                }
            if status in {"401", "421"}:
                assert [*answer["content"]] == ["text/plain"]


async def test_the_token_guards_the_document() -> None:
    async with served(Topology("shop"), token=TOKEN) as client:
        assert (await client.get("/api/openapi.json")).status_code == 401
        answer = await client.get("/api/openapi.json", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.json()["security"] == [{}, {"token": []}]
