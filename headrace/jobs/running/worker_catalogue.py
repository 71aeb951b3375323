"""The workers that this process may run."""

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import cast

from headrace.errors import describe
from headrace.jobs.errors import BadJobs, BadModule, WorkerNameTaken
from headrace.jobs.handle import Enqueues
from headrace.jobs.worker import AnyWorker, Worker

Modules = str | ModuleType | AnyWorker | Sequence[str | ModuleType | AnyWorker]
"""Modules of workers, their names, or workers; a single one needs no list."""


class WorkerCatalogue:
    """The workers of a service, by name and by alias."""

    def __init__(self, workers: Iterable[AnyWorker] = ()) -> None:
        """A variant counts as its worker. Raises `WorkerNameTaken`, and `BadWorker` for annotations without JSON."""
        self._workers: dict[str, AnyWorker] = {}
        self._met: set[str] = set()
        self.encrypted: frozenset[str] = frozenset()
        """The names of workers with encrypted args."""
        for one in dict.fromkeys(worker.original for worker in workers):
            one.check()
            for name in dict.fromkeys((one.name, *one.options.aliases)):
                taken = self._workers.setdefault(name, one)
                if taken is not one:
                    raise WorkerNameTaken(name, taken.reference, one.reference)
        self.encrypted = frozenset(name for name, one in self._workers.items() if one.options.encrypted)

    @classmethod
    def of_modules(cls, modules: Modules) -> "WorkerCatalogue":
        """Import the modules; return a catalogue of their workers, and of the listed workers.

        Raises `BadModule` for a module that does not exist, fails at its import or has no worker, and `BadJobs` for a
        value of another type.
        """
        found: list[AnyWorker] = []
        for module in _listed(modules):
            if isinstance(module, Worker):
                found.append(module)
                continue
            there = module if isinstance(module, ModuleType) else _imported(module)
            workers = [value for value in vars(there).values() if isinstance(value, Worker)]
            if not workers:
                name = module if isinstance(module, str) else module.__name__
                raise BadModule(name, "has none: decorate a function of it with @worker, or take it off the list")
            found.extend(workers)
        return cls(found)

    def __iter__(self) -> Iterator[AnyWorker]:
        """Yield each worker once."""
        return iter(dict.fromkeys(self._workers.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """All names and aliases, sorted: a queue claims jobs of these workers."""
        return tuple(sorted(self._workers))

    def get(self, name: str) -> AnyWorker | None:
        """Return the worker of that name or alias, or None."""
        return self._workers.get(name)

    def unknown_workers(self, names: Iterable[str]) -> list[str]:
        """Return, sorted, the names without a worker that no earlier call had, so that each is logged once."""
        new = sorted({name for name in names if name not in self._workers and name not in self._met})
        self._met.update(new)
        return new

    def bind(self, service: Enqueues) -> None:
        """Let `service` keep the jobs of all workers, or of none. Raises `NotBound` if one has another service."""
        bound: list[AnyWorker] = []
        try:
            for one in self:
                one.binding.bind(service)
                bound.append(one)
        except BaseException:
            for one in bound:
                one.binding.unbind(service)
            raise

    def loosen(self, service: Enqueues) -> None:
        """Let another service bind the workers; until then `service` keeps their jobs."""
        for one in self:
            one.binding.loosen(service)

    def unbind(self, service: Enqueues) -> None:
        """Undo `bind`."""
        for one in self:
            one.binding.unbind(service)


def _listed(modules: object) -> list[str | ModuleType | AnyWorker]:
    """Return modules and workers as a list, also a single one. Raises `BadJobs` for a value of another type."""
    alone = isinstance(modules, str | ModuleType | Worker) or not isinstance(modules, Iterable)
    listed: list[str | ModuleType | AnyWorker] = []
    for one in [modules] if alone else cast("Iterable[object]", modules):
        if not isinstance(one, str | ModuleType | Worker):
            advice = "modules or names of them, as in ['shop.workers'], or workers, the functions that @worker made"
            raise BadJobs(one, "workers", advice)
        listed.append(one)
    return listed


def _imported(module: str) -> object:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise BadModule(module, "cannot be found: check its name, and that its folder is on Python's path")
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:  # a module that is imported can raise anything
        raise BadModule(module, f"cannot be imported: {describe(error)}") from error
