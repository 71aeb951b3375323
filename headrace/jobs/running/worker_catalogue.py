"""The workers that this process may run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

from headrace.errors import describe
from headrace.jobs.errors import BadJobs, BadModule, WorkerNameTaken
from headrace.jobs.handle import Enqueues
from headrace.jobs.worker import AnyWorker, Worker

Modules = str | ModuleType | AnyWorker | Sequence[str | ModuleType | AnyWorker]
"""Modules of workers by their names, or themselves, or workers; one of them needs no list."""


class WorkerCatalogue:
    """Workers by name and by alias."""

    def __init__(self, workers: Iterable[AnyWorker] = ()) -> None:
        """Raises `WorkerNameTaken`, and `BadWorker` for annotations that cannot be kept; variants are their workers."""
        self._workers: dict[str, AnyWorker] = {}
        self._met: set[str] = set()
        self.encrypted: frozenset[str] = frozenset()
        """Names of those that keep their args encrypted."""
        for one in dict.fromkeys(worker.original for worker in workers):
            one.check()
            for name in dict.fromkeys((one.name, *one.options.aliases)):
                taken = self._workers.setdefault(name, one)
                if taken is not one:
                    raise WorkerNameTaken(name, taken.reference, one.reference)
        self.encrypted = frozenset(name for name, one in self._workers.items() if one.options.encrypted)

    @classmethod
    def of_modules(cls, modules: Modules) -> "WorkerCatalogue":
        """Import the modules, and nothing else; return the workers that stand in them, and those that are listed.

        Raises `BadModule` for one that does not exist, raises as it is imported, or has no worker, and `BadJobs` for
        what names no module.
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
        """All names and aliases, sorted: what a queue may claim."""
        return tuple(sorted(self._workers))

    def get(self, name: str) -> AnyWorker | None:
        """Return the worker of that name or alias, or None."""
        return self._workers.get(name)

    def unknown_workers(self, names: Iterable[str]) -> list[str]:
        """Return which of the names are no worker's and new to it, sorted: so that each is said once."""
        new = sorted({name for name in names if name not in self._workers and name not in self._met})
        self._met.update(new)
        return new

    def bind(self, service: Enqueues) -> None:
        """Hand the jobs of all workers to `service`, or of none. Raises `NotBound` when another has those of one."""
        bound: list[AnyWorker] = []
        try:
            for one in self:
                one.bind(service)
                bound.append(one)
        except BaseException:
            for one in bound:
                one.unbind(service)
            raise

    def loosen(self, service: Enqueues) -> None:
        """Leave them to `service` until another one takes them."""
        for one in self:
            one.loosen(service)

    def unbind(self, service: Enqueues) -> None:
        """Take that back."""
        for one in self:
            one.unbind(service)


def _listed(modules: object) -> list[str | ModuleType | AnyWorker]:
    """Return modules and workers as a list, also one that stands alone. Raises `BadJobs` for what is neither."""
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


P = ParamSpec("P")
R = TypeVar("R")


class HasStandIn(Protocol):
    """A service that another one may stand in for."""

    @property
    def stand_in(self) -> object | None:
        """Who stands in for it now."""


S = TypeVar("S", bound=HasStandIn)


def by_stand_in(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Have the method of the stand-in called, while there is one."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.stand_in is None:
            return method(self, *args, **kwargs)
        return cast("R", getattr(self.stand_in, method.__name__)(*args, **kwargs))

    return call
