"""The endpoints, examples and config of docs/api.md match the API."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from headrace.config.keys.pipeline import ListenKeys
from headrace.console.web.api.endpoint import document
from headrace.console.web.app import listener_app
from headrace.pipeline.topology.topology import Topology
from tests.console.web.api.documented import Documented

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
ORIGIN = "http://127.0.0.1:9470"
HEADING = re.compile(r"^### `([A-Z]+) (/\S+)`$", re.MULTILINE)

Node = dict[str, Any]


async def described() -> Node:
    keys = ListenKeys.model_validate({"address": "127.0.0.1:0"})
    async with listener_app(Topology("shop"), keys) as app:
        return document(app.state.endpoints, "1")


@pytest.mark.asyncio
async def test_the_page_has_every_endpoint_and_no_other() -> None:
    paths = (await described())["paths"]
    assert set(HEADING.findall(PAGE)) == {(method.upper(), path) for path in paths for method in paths[path]}


@pytest.mark.asyncio
async def test_every_endpoint_has_examples_that_fit_it() -> None:
    found = await described()
    documented = Documented(found)
    sections = HEADING.split(PAGE)[1:]
    for method, path, text in zip(sections[::3], sections[1::3], sections[2::3], strict=True):
        lines = re.findall(r"^curl .*$", text, re.MULTILINE)
        assert lines, f"{method} {path} has no example"
        for line in lines:
            said, url, body = _request(line)
            asked, _, query = url.removeprefix(ORIGIN).partition("?")
            operation = documented.operation(said, asked)
            assert operation is not None, line
            assert operation == found["paths"][path][method.lower()], line
            words = {one.partition("=")[0] for one in query.split("&") if one}
            assert words <= {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
            assert ("requestBody" in operation) == (body is not None), line
            if body is not None:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                fastjsonschema.validate({"allOf": [schema], "components": found["components"]}, json.loads(body))


def _request(line: str) -> tuple[str, str, str | None]:
    """Return the method, the URL and the body of a curl command."""
    words = shlex.split(line)[1:]
    options = {words[place]: words[place + 1] for place in range(len(words)) if words[place].startswith("-")}
    assert options.get("-H", "Content-Type: application/json") == "Content-Type: application/json"
    return options.get("-X", "GET"), words[-1], options.get("-d")
