"""One endpoint of the API, declared once: its route and its part of the OpenAPI document are made of this."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.console.web.api.answers import Refusal

Method = Literal["GET", "POST", "PUT", "PATCH"]

Models = tuple[type[BaseModel], ...]

_CONVERTER: Final = re.compile(r"{(\w+)(?::(\w+))?}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a status stands for: a sentence, and what its JSON is; any of several where there are several."""

    why: str
    models: Models


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A method of a path: who answers it, what it takes, and each of its answers by status.

    `refusals` says for which statuses there is a sentence only (`{"error": ...}`) and why; those that the door gives to
    anyone, and those that any wrong body gets, are known and need not be said. `words` explains the parts of the path.
    """

    name: str
    method: Method
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    summary: str
    answers: Mapping[int, Answer]
    refusals: Mapping[int, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    is_body_needed: bool = True

    @property
    def route(self) -> Route:
        """The route for Starlette; a `Refusal` that the handler raises is the answer."""
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
        except Refusal as refusal:
            return refusal.answer
