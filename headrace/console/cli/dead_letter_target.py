"""The target of a command about dead letters: a config file or a store's URL, open while the command runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.config.check.config import Config
from headrace.config.check.stage_names import stage_names
from headrace.console.cli.config_part import read_part
from headrace.console.cli.foreign_file import DEAD_LETTERS_TABLE, has_wrong_schema
from headrace.console.cli.job_target import CommandFailed, UsageError
from headrace.dead_letters.errors import BadDeadLetters
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore, dead_letters_of
from headrace.dead_letters.store import UNBOUNDED, DeadLetterStore
from headrace.errors import HeadraceError

_READ: Final = ("name", "dead_letters", "stages")
_EXAMPLE = "headrace dead-letters list shop.yaml, or --store sqlite:///dead.db"


class NoDeadLetterStore(CommandFailed):
    """There is no file of dead letters; a command creates none."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"there are no dead letters in {path} yet: check the path, or run the config once")


class WrongSchema(CommandFailed):
    """A file has other tables and no dead letters; a command adds none."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the database {path} holds no dead letters: check the path, or run the config once")


@dataclass(frozen=True, slots=True)
class OpenDeadLetters:
    """An open store, and the config that names it; without a config, the dead letters of all pipelines."""

    store: DeadLetterStore
    config: Config | None

    @property
    def pipeline(self) -> str | None:
        """The pipeline of the config; None for all pipelines."""
        return None if self.config is None else self.config.name

    def unknown_stages(self, stages: frozenset[str]) -> list[str]:
        """Return those of `stages` that are not in the config."""
        if self.config is None:
            return []
        return sorted(stages - stage_names(self.config.stages))


@dataclass(frozen=True, slots=True)
class DeadLetterTarget:
    """A config file or the URL of a store, and never both; `arguments` are the command's other arguments."""

    file: str | None
    url: str | None
    arguments: tuple[str, ...] = ()

    @classmethod
    def of(cls, arguments: list[str], url: str | None, *, are_more: bool = True) -> "DeadLetterTarget":
        """Take the file from the arguments, unless a URL is given. Raises `UsageError`."""
        if url is None and not arguments:
            raise UsageError("FILE", f"name the config file or the store: {_EXAMPLE}")
        target = cls(arguments[0], None, tuple(arguments[1:])) if url is None else cls(None, url, tuple(arguments))
        if target.arguments and not are_more:
            raise UsageError("FILE", f"unexpected argument {target.arguments[0]!r}: {_EXAMPLE}")
        return target

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[OpenDeadLetters]:
        """Open the store while the block runs. No error tells what a variable holds."""
        config = None if self.file is None else read_part(self.file, _READ, instead="--store")
        redactor = str if config is None else config.redactor
        store = self._store(config)
        try:
            if not store.path.exists():
                raise NoDeadLetterStore(store.path)
            if has_wrong_schema(store.path, DEAD_LETTERS_TABLE):
                raise WrongSchema(store.path)
            await store.open()
            try:
                yield OpenDeadLetters(store, config)
            finally:
                await store.close()
        except UsageError:
            raise
        except HeadraceError as error:
            raise CommandFailed(redactor(str(error))) from error

    def _store(self, config: Config | None) -> SqliteDeadLetterStore:
        """Return the store, without limits: only runs drop dead letters."""
        if config is None:
            try:
                return dead_letters_of(self.url or "", UNBOUNDED)
            except BadDeadLetters as error:
                error_found = UsageError("--store", str(error))
            raise error_found
        if config.dead_letters is None:
            why = f"{self.file} has no key `dead_letters:`: name a file that has one, or the store by --store"
            raise UsageError("FILE", why)
        return dead_letters_of(config.dead_letters.store, UNBOUNDED)
