"""Which jobs a command is about: the store of a config file or of a URL, opened for as long as the command runs."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.config.check.jobs import ConfiguredJobs
from headrace.config.jobs import build_jobs
from headrace.config.keys.jobs import JobsKeys
from headrace.config.text.findings import ConfigError
from headrace.console.cli.config_part import read_part
from headrace.console.cli.foreign_file import JOBS, has_wrong_schema
from headrace.console.cli.output import print_findings, print_json
from headrace.console.cli.streams import ExitCode
from headrace.errors import HeadraceError
from headrace.jobs.errors import BadStore
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.store import JobStore, Role, store_of

_READ: Final = ("name", "python_path", "jobs")
EXAMPLE: Final = "headrace jobs list shop.yaml, or --store sqlite:///shop.db"
"""How a command about jobs is written; for refusals."""


class UsageError(HeadraceError):
    """The words of a command do not fit together; its exit code is 2. `where` is the option or the word meant."""

    def __init__(self, where: str, why: str) -> None:
        self.where = where
        super().__init__(f"{where}: {why}")


class CommandFailed(HeadraceError):
    """A command could not do its work; its exit code is 1."""


class WrongDatabase(CommandFailed):
    """A file has tables of others and no jobs: a command that only looks adds none."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the database {path} holds no jobs: check the path, or run the config once")


class MissingRole(CommandFailed):
    """A store does not implement a role that a command needs."""

    def __init__(self, store: str, role: Role) -> None:
        self.role = role
        super().__init__(f"a {store} has no role {role!r}, which this command needs: name another store")


@dataclass(frozen=True, slots=True)
class Target:
    """A config file or the URL of a store, and never both; `arguments` are the other arguments of the command."""

    file: str | None
    url: str | None
    arguments: tuple[str, ...] = ()
    may_have_url: bool = False
    """Whether the command also takes --store, which its messages then name."""

    @classmethod
    def of(cls, arguments: list[str], url: str | None, *, are_more: bool = True) -> "Target":
        """Take the file off the words, unless a URL was given. Raises `UsageError`."""
        if url is None:
            if not arguments:
                raise UsageError("FILE", f"name the config file or the store: {EXAMPLE}")
            target = cls(arguments[0], None, tuple(arguments[1:]), may_have_url=True)
        else:
            target = cls(None, url, tuple(arguments))
        if target.arguments and not are_more:
            raise UsageError("FILE", f"unexpected argument {target.arguments[0]!r}: {EXAMPLE}")
        return target

    def configured(self, *, imports: bool) -> ConfiguredJobs:
        """Return the jobs that are meant. Raises ConfigError and `UsageError`."""
        return self._read(imports=imports)[0]

    @asynccontextmanager
    async def opened(self, *roles: Role, imports: bool = False, must_have_jobs: bool = False) -> AsyncIterator[Jobs]:
        """Open the jobs while the block runs; nothing of them runs here. No error tells what a variable holds.

        `roles` are those of the store that the command needs; see `MissingRole`. With `must_have_jobs` a database that
        has only tables of other programs is refused, and stays unchanged.
        """
        configured, redactor = self._read(imports=imports)
        try:
            jobs = build_jobs(configured, is_running=False)
            _check_there(jobs.store, roles, must_have_jobs=must_have_jobs)
            async with jobs:
                yield jobs
        except UsageError:
            raise
        except HeadraceError as error:
            raise CommandFailed(redactor(str(error))) from error

    def _read(self, *, imports: bool) -> tuple[ConfiguredJobs, Callable[[str], str]]:
        """Return the jobs that are meant, and what hides in a sentence what variables gave."""
        if self.file is None:
            try:
                store_of(self.url or "")
            except BadStore as error:
                usage_error = UsageError("--store", str(error))
            else:
                return ConfiguredJobs(JobsKeys.model_construct(store=self.url or ""), WorkerCatalogue()), str
            raise usage_error
        config = read_part(self.file, _READ, instead="--store" if self.may_have_url else None, imports=imports)
        if config.jobs is None:
            why = f"{self.file} has no block `jobs:`: name a file that has one, or the store by --store"
            raise UsageError("FILE", why)
        return config.jobs, config.redactor


def _check_there(store: JobStore, roles: Sequence[Role], *, must_have_jobs: bool) -> None:
    """Refuse a path without a file, which a typing error may be, and a store that no other process can see."""
    if not store.is_shared:
        raise UsageError("--store", "a store in memory is only seen by its own process: name one that is kept")
    for role in roles:
        if role not in store.roles:
            raise MissingRole(type(store).__name__, role)
    if store.path is None:
        return
    if not store.path.exists():
        raise BadStore("sqlite", f"has no file {store.path}: check the path, or run the config once")
    if must_have_jobs and has_wrong_schema(store.path, JOBS):
        raise WrongDatabase(store.path)


def run_command(work: Callable[[], Awaitable[ExitCode]], *, as_json: bool) -> ExitCode:
    """Run a command on a loop of its own; print what is wrong with its config or its words."""
    try:
        return asyncio.run(_awaited(work))
    except ConfigError as error:
        if as_json:
            print_json({"exit_code": int(ExitCode.CONFIG), "findings": error.as_json()})
        else:
            print_findings(error)
        return ExitCode.CONFIG
    except UsageError as error:
        return _refused(error, ExitCode.USAGE, as_json=as_json)
    except HeadraceError as error:
        return _refused(error, ExitCode.FAILED, as_json=as_json)


async def _awaited(work: Callable[[], Awaitable[ExitCode]]) -> ExitCode:
    return await work()


def _refused(error: HeadraceError, code: ExitCode, *, as_json: bool) -> ExitCode:
    if as_json:
        print_json({"exit_code": int(code), "error": str(error)})
    else:
        print(f"headrace: {error}", file=sys.stderr)
    return code
