"""The target of a command: a config file, or the URL of a store or a run; and the arguments that name it."""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from headrace.config.check.config import Config
from headrace.config.files import load_parts
from headrace.config.text.findings import ConfigError
from headrace.console.cli.output import CommandFailed, UsageError, counted
from headrace.console.cli.streams import ExitCode
from headrace.database.urls import has_nul
from headrace.errors import HeadraceError
from headrace.http.address import Address

if TYPE_CHECKING:
    from headrace.config.check.jobs import ConfiguredJobs
    from headrace.dead_letters.store import DeadLetterStore
    from headrace.jobs.jobs import Jobs
    from headrace.jobs.stores.store import JobStore, Role

FileArgument = Annotated[str, typer.Argument(help="The config file.", metavar="FILE")]
TargetArguments = Annotated[
    list[str] | None, typer.Argument(help="The config file (not with --store).", metavar="[FILE]")
]
StoreOption = Annotated[str | None, typer.Option(help="The store's URL, instead of a config file.", metavar="URL")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask, however many they are.")]
UrlOption = Annotated[
    str | None,
    typer.Option(help="Where the run listens, instead of its file; HEADRACE_TOKEN is its token.", metavar="URL"),
]

TOKEN_VARIABLE: Final = "HEADRACE_TOKEN"  # noqa: S105 - the name of a variable, and no token
"""The variable that holds the token for --url: every user of the machine could read an argument."""

_DEAD_LETTERS_TABLE: Final = "headrace_dead_letters"
_JOBS_TABLE: Final = "oban_jobs"
_UNSET: Final = frozenset({"missing-variable", "unreadable-file"})
_SECONDS: Final = 10.0  # a run answers within milliseconds, unless a stage holds its loop
_OWN: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


class NoFile(CommandFailed):
    """A database file does not exist; a command creates none."""

    def __init__(self, path: Path, content: str) -> None:
        super().__init__(f"there are no {content} in {path} yet: check the path, or run the config once")


class WrongDatabase(CommandFailed):
    """A file has only tables of other programs; a command that reads adds none of ours."""

    def __init__(self, path: Path, content: str) -> None:
        super().__init__(f"the database {path} holds no {content}: check the path, or run the config once")


class MissingRole(CommandFailed):
    """A store does not implement a role that a command needs."""

    def __init__(self, store: str, role: "Role") -> None:
        self.role = role
        super().__init__(f"a {store} has no role {role!r}, which this command needs: name another store")


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
class TargetKind:
    """The kind of target of a group of commands: the option that replaces the file, its noun, and an example."""

    option: str
    noun: str
    example: str


JOBS: Final = TargetKind("--store", "store", "headrace jobs list shop.yaml, or --store sqlite:///shop.db")
DEAD_LETTERS: Final = TargetKind(
    "--store", "store", "headrace dead-letters list shop.yaml, or --store sqlite:///dead.db"
)
RUN: Final = TargetKind("--url", "URL of the run", "headrace stages list shop.yaml, or --url http://127.0.0.1:9470")


@dataclass(frozen=True, slots=True)
class OpenDeadLetters:
    """An open store, and the config that names it; without a config, the dead letters of all pipelines."""

    store: "DeadLetterStore"
    config: Config | None

    @property
    def pipeline(self) -> str | None:
        """The pipeline of the config; None for all pipelines."""
        return None if self.config is None else self.config.name


@dataclass(frozen=True, slots=True)
class Target:
    """A config file or a URL, never both; `arguments` are the other arguments of the command.

    `option` is the option that replaces the file, for errors; None where the command has none.
    """

    file: str | None
    url: str | None = None
    arguments: tuple[str, ...] = ()
    option: str | None = None

    @classmethod
    def of(
        cls, kind: TargetKind, arguments: Sequence[str] | None, url: str | None, *, are_more: bool = True
    ) -> "Target":
        """Return the target; without a URL the first argument is the file. Raises `UsageError`."""
        if url is None and not arguments:
            raise UsageError("FILE", f"name the config file or the {kind.noun}: {kind.example}")
        given = tuple(arguments or ())
        file, others = (given[0], given[1:]) if url is None else (None, given)
        if others and not are_more:
            raise UsageError("FILE", f"unexpected argument {others[0]!r}: {kind.example}")
        return cls(file, url, others, kind.option)

    def configured_jobs(self, *, imports: bool) -> "ConfiguredJobs":
        """Return the block `jobs:` of the file, or one that only has the store. Raises `ConfigError`, `UsageError`."""
        return self._jobs(imports=imports)[0]

    @asynccontextmanager
    async def store(self, *roles: "Role", imports: bool = False, must_have_jobs: bool = False) -> "AsyncIterator[Jobs]":
        """Open the jobs while the block runs; no job runs here. No error shows the value of a variable.

        The store must have these `roles`; see `MissingRole`. With `must_have_jobs` a database that has only
        tables of other programs is refused, and stays unchanged.
        """
        from headrace.config.jobs import build_jobs

        configured, redactor = self._jobs(imports=imports)
        with _redacted(redactor):
            jobs = build_jobs(configured, is_running=False)
            _check_store(jobs.store, roles, must_have_jobs=must_have_jobs)
            async with jobs:
                yield jobs

    @asynccontextmanager
    async def dead_letters(self) -> AsyncIterator[OpenDeadLetters]:
        """Open the dead letters while the block runs. No error shows the value of a variable."""
        from headrace.dead_letters.errors import BadDeadLetters
        from headrace.dead_letters.sqlite_store import dead_letters_of
        from headrace.dead_letters.store import UNBOUNDED

        config = None if self.file is None else self._read("name", "dead_letters", "stages")
        if config is not None and config.dead_letters is None:
            why = f"{self.file} has no key `dead_letters:`: name a file that has one, or the store by --store"
            raise UsageError("FILE", why)
        url = config.dead_letters.store if config is not None and config.dead_letters is not None else self.url or ""
        with _redacted(str if config is None else config.redactor):
            try:
                store = dead_letters_of(url, UNBOUNDED)  # only runs drop dead letters
            except BadDeadLetters as error:
                if config is not None:
                    raise
                raise UsageError("--store", str(error)) from None
            if not store.path.exists():
                raise NoFile(store.path, "dead letters")
            if _has_wrong_schema(store.path, _DEAD_LETTERS_TABLE):
                raise WrongDatabase(store.path, "dead letters")
            await store.open()
            try:
                yield OpenDeadLetters(store, config)
            finally:
                await store.close()

    def api(self) -> "RunClient":
        """Return a client of the run. Raises `ConfigError` and `UsageError`."""
        if self.file is None:
            return RunClient(_checked(self.url or ""), _token())
        listen = self._read("name", "listen").listen
        if listen is None:
            raise UsageError("FILE", f"{self.file} does not listen (`listen: off`), so its run cannot be asked")
        if not listen.address.port:
            why = (
                f"{self.file} lets the system choose the port: name the run by --url, as its log says where it listens"
            )
            raise UsageError("FILE", why)
        own = Address(_OWN.get(listen.address.host, listen.address.host), listen.address.port)
        return RunClient(f"http://{own}", None if listen.token is None else listen.token.get_secret_value())

    def _jobs(self, *, imports: bool) -> "tuple[ConfiguredJobs, Callable[[str], str]]":
        """Return the block `jobs:`, and a function that redacts the values of variables in a sentence."""
        from headrace.config.check.jobs import ConfiguredJobs
        from headrace.config.keys.jobs import JobsKeys
        from headrace.jobs.errors import BadStore
        from headrace.jobs.running.worker_catalogue import WorkerCatalogue
        from headrace.jobs.stores.store import store_of

        if self.file is None:
            try:
                store_of(self.url or "")
            except BadStore as error:
                raise UsageError("--store", str(error)) from None
            return ConfiguredJobs(JobsKeys.model_construct(store=self.url or ""), WorkerCatalogue()), str
        config = self._read("name", "python_path", "jobs", imports=imports)
        if config.jobs is None:
            why = f"{self.file} has no block `jobs:`: name a file that has one, or the store by --store"
            raise UsageError("FILE", why)
        return config.jobs, config.redactor

    def _read(self, *keys: str, imports: bool = False) -> Config:
        """Return the config with only these keys checked. Raises `ConfigError`.

        Findings about variables name the option that replaces the file.
        """
        try:
            return load_parts(self.file or "", keys, imports=imports)
        except ConfigError as error:
            if self.option is None:
                raise
            hint = f"; set it, or leave the file out and give {self.option} URL"
            findings = [
                replace(one, message=one.message + hint) if one.code in _UNSET else one for one in error.findings
            ]
            raise ConfigError(findings) from None


def numbers_of(arguments: Sequence[str], noun: str) -> list[int]:
    """Return the numbers of jobs or dead letters. Raises `UsageError`."""
    for argument in arguments:
        if not argument.isascii() or not argument.isdigit():
            raise UsageError("NUMBER", f"{argument!r} is no number of {noun}: write numbers, as in 17 18")
    return [int(argument) for argument in arguments]


def confirm(count: int, noun: str, verb: str, *, is_yes: bool) -> None:
    """Ask on the terminal whether to change `count` things; exit when the answer is no. With `is_yes` it does not ask.

    Raises `UsageError` where there is no terminal to ask on.
    """
    if is_yes or not count:
        return
    found = f"{counted(count, noun)} {'matches' if count == 1 else 'match'}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("--yes", f"{found}. Add --yes to {verb} them; there is no terminal to ask on")
    print(f"{found}. {verb.capitalize()} them? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _redacted(redactor: Callable[[str], str]) -> Iterator[None]:
    """Turn errors into `CommandFailed` with the values of variables redacted."""
    try:
        yield
    except UsageError:
        raise
    except HeadraceError as error:
        raise CommandFailed(redactor(str(error))) from error


def _check_store(store: "JobStore", roles: "Sequence[Role]", *, must_have_jobs: bool) -> None:
    """Refuse a path without a file, which a typing error may be, and a store that no other process can see."""
    from headrace.jobs.errors import BadStore

    if not store.is_shared:
        raise UsageError("--store", "only its own process sees a store in memory: name one in a file")
    for role in roles:
        if role not in store.roles:
            raise MissingRole(type(store).__name__, role)
    if store.path is None:
        return
    if not store.path.exists():
        raise BadStore("sqlite", f"has no file {store.path}: check the path, or run the config once")
    if must_have_jobs and _has_wrong_schema(store.path, _JOBS_TABLE):
        raise WrongDatabase(store.path, "jobs")


def _has_wrong_schema(path: Path, table: str) -> bool:
    """Return whether a file has tables but not this one; False for an unreadable file, which fails on opening."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
    except sqlite3.Error:
        return False
    return bool(found) and table not in found


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
