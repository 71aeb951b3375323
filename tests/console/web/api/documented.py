"""Holds what a listener answers under /api against its own OpenAPI document."""

import re
from typing import Any

import fastjsonschema
import httpx2

Node = dict[str, Any]


class Documented:
    """A hook for a client: an answer whose status, content type or JSON the document does not say fails the test."""

    def __init__(self, document: Node) -> None:
        self.document = document

    async def check(self, response: httpx2.Response) -> None:
        """Raise AssertionError for an answer that is not in the document."""
        operation = self.operation(response.request.method, response.request.url.path)
        if operation is None:
            return
        await response.aread()
        where = f"{operation['operationId']} answered {response.status_code}"
        assert str(response.status_code) in operation["responses"], where
        contents = operation["responses"][str(response.status_code)]["content"]
        kind = response.headers["content-type"].partition(";")[0]
        assert kind in contents, f"{where} with {kind}"
        if kind == "application/json":
            schema = contents[kind]["schema"]
            fastjsonschema.validate({"allOf": [schema], "components": self.document["components"]}, response.json())

    def operation(self, method: str, path: str) -> Node | None:
        """Return what the document says of a request; None when there is nothing of it in there."""
        for template, operations in self.document["paths"].items():
            operation: Node | None = operations.get(method.lower())
            if operation is not None and re.fullmatch(_pattern(template, operation), path):
                return operation
        return None


def _pattern(template: str, operation: Node) -> str:
    kinds = {one["name"]: one["schema"]["type"] for one in operation.get("parameters", ()) if one["in"] == "path"}
    parts = re.split(r"{(\w+)}", template)
    return "".join(
        (r"\d+" if kinds[part] == "integer" else ".+") if place % 2 else re.escape(part)
        for place, part in enumerate(parts)
    )
