"""Specs, infos and options of children."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Literal, TypedDict, TypeVar, cast

from headrace.errors import BadOption
from headrace.otp.gen_server import GenServerProcess
from headrace.otp.process.process import Process
from headrace.otp.process.state import Kind, ProcessSettings, check_count, check_seconds
from headrace.otp.process.task_process import TaskProcess
from headrace.otp.ref import Ref
from headrace.otp.scheduler import Scheduler
from headrace.otp.supervision.restart import Restart, Strategy

_ANY_SETTINGS: Final = ProcessSettings()

S_co = TypeVar("S_co", covariant=True)

ChildState = Literal["starting", "running", "restarting", "stopping", "ended"]
"""The state of a child. A child that is `restarting` has ended, and waits for its restart."""


@dataclass(frozen=True, slots=True)
class ChildSpec(Generic[S_co]):
    """How to make one child, with `factory(*args)`, and when to restart it (OTP's child spec).

    The factory makes a GenServer. It may also be a class of supervisors, or a partial of one, which is called with a
    name and a scheduler before `args`: `ChildSpec(TaskSupervisor, "tasks")`. With `is_task` it is a function that runs
    to its end; `Task.child_spec` makes such a spec. The default name is that of the factory. A stopped child has
    `settings.shutdown_seconds` to end; a supervisor has all the time that its children need.
    """

    factory: Callable[..., S_co]
    name: str | None = None
    restart: Restart = "permanent"
    settings: ProcessSettings = _ANY_SETTINGS
    args: tuple[object, ...] = ()
    is_task: bool = False

    def __post_init__(self) -> None:
        """Raise `BadOption` for a spec that can start no child."""
        if not callable(self.factory):
            raise BadOption("factory", self.factory, "a class, or a function that makes the child")
        if self.name is not None and not isinstance(self.name, str):
            raise BadOption("name", self.name, "text, or None for the factory's own")
        if not isinstance(self.settings, ProcessSettings):
            raise BadOption("settings", self.settings, "a ProcessSettings")
        if not isinstance(self.args, tuple):
            raise BadOption("args", self.args, "a tuple of what the factory is called with")
        if self.restart not in ("permanent", "transient", "temporary"):
            raise BadOption("restart", self.restart, "'permanent', 'transient' or 'temporary'")

    @property
    def id(self) -> str:
        """The name of the child in its supervisor."""
        return str(getattr(self.factory, "__name__", "child")) if self.name is None else self.name

    @property
    def kind(self) -> Kind:
        """Whether the child is a supervisor."""
        inner = self.factory.func if isinstance(self.factory, partial) else self.factory
        return "supervisor" if isinstance(inner, type) and issubclass(inner, Process) else "worker"

    def make(self, scheduler: Scheduler) -> Process[S_co]:
        """Make the process, without starting it."""
        if self.kind == "supervisor":
            return cast("Process[S_co]", self.factory(self.id, scheduler, *self.args))
        factory = partial(self.factory, *self.args) if self.args else self.factory
        if self.is_task:
            return cast("Process[S_co]", TaskProcess(self.id, factory, scheduler, self.settings))
        return GenServerProcess(self.id, factory, scheduler, self.settings)


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """A child, as `which_children` returns it. `ref` is None while it waits for its restart, and once it has ended."""

    name: str
    ref: Ref[object] | None
    kind: Kind
    restart: Restart
    state: ChildState


@dataclass(frozen=True, slots=True)
class ChildCount:
    """The number of children: all (`specs`), the running ones (`active`), and the number of each kind."""

    specs: int
    active: int
    supervisors: int
    workers: int


def counted(infos: Sequence[ChildInfo]) -> ChildCount:
    """Count children by their `ChildInfo`."""
    supervisors = sum(info.kind == "supervisor" for info in infos)
    active = sum(info.ref is not None for info in infos)
    return ChildCount(len(infos), active, supervisors, len(infos) - supervisors)


_STRATEGIES: Final = ("one_for_one", "one_for_all", "rest_for_one")


class SupervisorOptions(TypedDict, total=False):
    """The options of a supervisor.

    `strategy` says which children restart together: `"one_for_one"` the one that exited (the default), `"one_for_all"`
    all, `"rest_for_one"` it and the children that were started after it. `children` are started in order with the
    supervisor. It exits at more than `max_restarts` (3) restarts within `max_seconds` (5).
    """

    strategy: Strategy
    children: tuple[ChildSpec[object], ...]
    max_restarts: int
    max_seconds: float


def check_options(options: SupervisorOptions) -> None:
    """Raise `BadOption` for invalid options."""
    strategy = options.get("strategy", "one_for_one")
    if strategy not in _STRATEGIES:
        raise BadOption("strategy", strategy, "'one_for_one', 'one_for_all' or 'rest_for_one'")
    children: object = options.get("children", ())
    if not isinstance(children, Sequence) or not all(isinstance(child, ChildSpec) for child in children):
        raise BadOption("children", children, "a tuple of ChildSpecs")
    names = [spec.id for spec in options.get("children", ())]
    if len(set(names)) < len(names):
        raise BadOption("children", names, "each of another name: give their specs one")
    check_count("max_restarts", options.get("max_restarts", 0), 0)
    check_seconds("max_seconds", options.get("max_seconds", 0))
