"""The run that a command works on, by config file or URL, and the HTTP client that asks it."""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from headrace.config.keys.pipeline import ListenKeys
from headrace.console.cli.config_part import read_part
from headrace.console.cli.job_target import CommandFailed, UsageError
from headrace.database.urls import has_nul
from headrace.http.address import Address

TOKEN_VARIABLE: Final = "HEADRACE_TOKEN"  # noqa: S105 - the name of a variable, and no token
"""The variable that holds the token for --url: every user of the machine could read an argument."""

_EXAMPLE: Final = "headrace stages list shop.yaml, or --url http://127.0.0.1:9470"
_SECONDS: Final = 10.0  # a run answers within milliseconds, unless a stage holds its loop
_OWN: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


class NoRun(CommandFailed):
    """No run answers at the URL."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"no run answers at {url} ({why}): start it, or name another one by --url")


class RunRefused(CommandFailed):
    """A run rejected a request; the message has its reason."""

    def __init__(self, url: str, status: int, why: str) -> None:
        super().__init__(f"{url} answers {status}: {why:.500}")


class UnexpectedResponse(CommandFailed):
    """The response at the URL does not have the form of a run's responses."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url} does not answer as a run of this version of headrace: ask one by --url, or use --json")


@dataclass(frozen=True, slots=True)
class RunTarget:
    """A config file or the URL of a run, never both; `arguments` are the other arguments of the command."""

    file: str | None
    url: str | None
    arguments: tuple[str, ...] = ()

    @classmethod
    def of(cls, arguments: list[str], url: str | None, *, are_more: bool = True) -> "RunTarget":
        """Return the target; without a URL the first argument is the file. Raises `UsageError`."""
        if url is None and not arguments:
            raise UsageError("FILE", f"name the config file or the URL of the run: {_EXAMPLE}")
        target = cls(arguments[0], None, tuple(arguments[1:])) if url is None else cls(None, url, tuple(arguments))
        if target.arguments and not are_more:
            raise UsageError("FILE", f"unexpected argument {target.arguments[0]!r}: {_EXAMPLE}")
        return target

    def client(self) -> "RunClient":
        """Return a client of the run. Raises `ConfigError` and `UsageError`."""
        if self.file is None:
            return RunClient(_checked(self.url or ""), _token())
        listen = read_part(self.file, ("name", "listen"), instead="--url").listen
        if listen is None:
            raise UsageError("FILE", f"{self.file} does not listen (`listen: off`), so its run cannot be asked")
        return _client_of(self.file, listen)


@dataclass(frozen=True, slots=True)
class RunClient:
    """Sends requests with the token to the run at `url`; no redirect and no proxy, which would see the token."""

    url: str
    token: str | None = field(default=None, repr=False)

    async def ask(self, method: str, path: str, values: object = None) -> dict[str, object]:
        """Send a request with `values` as its JSON body; return the JSON object of the response.

        Raises `RunRefused` and `NoRun`.
        """
        return await asyncio.to_thread(self._ask, method, path, values)

    def _ask(self, method: str, path: str, values: object) -> dict[str, object]:
        body = None if values is None else json.dumps(values)
        try:
            status, text = self._exchange(method, path, body)
        except (OSError, HTTPException) as error:
            why = str(error) or type(error).__name__
            raise NoRun(self.url, why) from error
        try:
            found: object = json.loads(text)
        except ValueError:
            found = None
        if status == 200 and isinstance(found, dict):  # noqa: PLR2004 - HTTP's own
            return found
        message = found.get("error") if isinstance(found, dict) else text.strip()
        raise RunRefused(self.url, status, str(message))

    def _exchange(self, method: str, path: str, body: str | None) -> tuple[int, str]:
        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_SECONDS)
        try:
            connection.request(method, path, body, self._headers(has_body=body is not None))
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def _headers(self, *, has_body: bool) -> Mapping[str, str | bytes]:
        headers: dict[str, str | bytes] = {"content-type": "application/json"} if has_body else {}
        if self.token is not None:
            headers["authorization"] = b"Bearer " + self.token.encode()
        return headers


def _client_of(file: str, listen: ListenKeys) -> RunClient:
    address = listen.address
    if not address.port:
        why = f"{file} lets the system choose the port: name the run by --url, as its log says where it listens"
        raise UsageError("FILE", why)
    own = Address(_OWN.get(address.host, address.host), address.port)
    return RunClient(f"http://{own}", None if listen.token is None else listen.token.get_secret_value())


def _checked(url: str) -> str:
    """Return the scheme, host and port of a URL as a URL. Raises `UsageError`."""
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if has_nul(url) or not is_one or parts.path not in {"", "/"} or parts.query or parts.username is not None:
        raise UsageError("--url", f"{url!r:.100} is no URL of a run: write it as in http://127.0.0.1:9470")
    return f"{parts.scheme}://{parts.netloc}"


def _token() -> str | None:
    """Return the token of the environment, if there is one. Raises `UsageError`, which does not show it."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token.isprintable():
        raise UsageError(TOKEN_VARIABLE, "holds no token: there are control characters in it")
    return token or None
