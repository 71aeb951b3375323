"""What endpoints that take JSON have in common: the body they read, and the sentence with which they refuse."""

import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from headrace.errors.validation import sentence

M = TypeVar("M", bound=BaseModel)


class Refusal(Exception):
    """A request is refused; `answer` says why, with its status."""

    def __init__(self, status: int, why: str) -> None:
        self.answer = told(status, why)
        super().__init__(why)


def told(status: int, why: str) -> Response:
    """Return an answer that says why something cannot be."""
    return JSONResponse({"error": why}, status)


def check_json(request: Request, example: str) -> None:
    """Refuse what is not sent as JSON, which a page of another origin cannot send unasked. Raises `Refusal`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, f"send application/json, as in: {example}")


async def json_body(request: Request, most_bytes: int) -> object:
    """Return the body, at most so long. Raises `Refusal`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise Refusal(413, f"the body is longer than {most_bytes} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    raise Refusal(400, "the body is no JSON")


def checked(model: type[M], value: object, status: int) -> M:
    """Return checked words. Raises `Refusal` with `status`, which names the first that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        refusal = Refusal(status, _why(model, first))
    raise refusal


def _why(model: type[BaseModel], first: ErrorDetails) -> str:
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        return f"`{where}` is not known here: there are {', '.join(model.model_fields)}"
    return sentence(where, dict(first))
