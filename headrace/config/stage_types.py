"""Stage types by name: those installed in the entry-point group `headrace.stages`."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from inspect import signature
from types import new_class
from typing import cast

from pydantic import BaseModel

from headrace.errors import HeadraceError, MissingCallback, MisspeltCallback
from headrace.pipeline.stage.callbacks import check_callback
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.graph import StageKind
from headrace.stages.options import NoOptions, StageType

GROUP = "headrace.stages"

NO_STAGE = "it is not a class made of Producer, ProducerConsumer or Consumer"

AnyStage = Producer[object] | ProducerConsumer[object, object] | Consumer[object]

_KINDS: tuple[tuple[type, StageKind], ...] = (
    (ProducerConsumer, "producer_consumer"),
    (Producer, "producer"),
    (Consumer, "consumer"),
)


@dataclass(frozen=True, slots=True)
class LoadedType:
    """A stage type whose class was loaded: its name in the config, its kind, and its class.

    `kind` is None where the class was not imported. `declares` is the class as `StageType`, with all of its names.
    """

    name: str
    kind: StageKind | None
    stage: type[AnyStage]
    declares: type[StageType]

    @property
    def options(self) -> type[BaseModel]:
        """The model of its options; `NoOptions` where the class has none."""
        return self.declares.Options

    @property
    def takes_options(self) -> bool:
        """Whether the class is called with options."""
        return self.options is not NoOptions

    @property
    def needs_jobs(self) -> bool:
        """Whether the class is called with the `Jobs` of the run, too."""
        return self.declares.needs_jobs

    def make(self, options: BaseModel, *jobs: object) -> AnyStage:
        """Return a stage with checked options; `jobs` is the run's `Jobs` where the type needs it."""
        make = cast("Callable[..., AnyStage]", self.stage)
        return make(options, *jobs) if self.takes_options else make(*jobs)


class BrokenType(HeadraceError):
    """A stage type cannot be used; `why` is the reason."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why
        super().__init__(f"the stage type {name} cannot be used: {why}")


class StageTypes:
    """Stage types by name, each loaded on first use."""

    def __init__(self, loaders: Mapping[str, Callable[[], object]]) -> None:
        """`loaders` return the class of a stage type, as an entry point's `load` does."""
        self._loaders = dict(loaders)

    @classmethod
    def installed(cls) -> "StageTypes":
        """Return all installed types; none of them is imported yet."""
        return cls({point.name: point.load for point in entry_points(group=GROUP)})

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all types, sorted."""
        return tuple(sorted(self._loaders))

    def find(self, name: str) -> LoadedType:
        """Return the type of a name that is one of `names`. Raises `BrokenType` when it cannot be used."""
        try:
            found = self._loaders[name]()
        except Exception as error:  # noqa: BLE001 - what a guest's module raises must not hide the other findings
            detail = f": {error.msg}" if isinstance(error, ImportError) else ""
            why = f"its module raises {type(error).__name__}{detail} ({_location(error)})"
        else:
            loaded = loaded_type(name, found)
            if loaded is not None and loaded.takes_options:
                return loaded
            why = NO_STAGE if loaded is None else "it has no `Options`, a pydantic model"
        raise BrokenType(name, why)


def kind_of(found: object) -> StageKind | None:
    """Return the kind of a stage class; None for anything else."""
    if not isinstance(found, type):
        return None
    return next((kind for base, kind in _KINDS if issubclass(found, base)), None)


def loaded_type(name: str, found: object) -> LoadedType | None:
    """Return the type of a stage class; None for anything else."""
    kind = kind_of(found)
    if kind is None:
        return None
    stage = cast("type[AnyStage]", found)
    declares: type[StageType] = stage if issubclass(stage, StageType) else new_class(name, (stage, StageType))
    options: object = declares.Options
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        declares = new_class(name, (declares,), exec_body=lambda body: body.update(Options=NoOptions))
    return LoadedType(name, kind, stage, declares)


def example_of(stage_type: LoadedType, options: BaseModel) -> AnyStage | str:
    """Return a stage of this type, or why it cannot be made.

    A stage that needs the `Jobs` of a run is made without its `__init__`.
    """
    missing = sorted(vars(stage_type.stage).get("__abstractmethods__", ()))
    if missing:
        return f"it leaves out the abstract method `{missing[0]}`"
    arguments = ["its options"] if stage_type.takes_options else []
    arguments += ["the pipeline's `Jobs`"] if stage_type.needs_jobs else []
    try:
        signature(stage_type.stage).bind(*arguments)
    except (TypeError, ValueError) as error:
        given = " and ".join(arguments) or "no options, for it has no `Options`"
        return f"its `__init__` is called with {given}, and does not fit: {error}"
    try:
        made = stage_type.stage.__new__(stage_type.stage) if stage_type.needs_jobs else stage_type.make(options)
        check_callback(made)
    except (MissingCallback, MisspeltCallback) as error:
        return str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - an error of a user's `__init__` must not hide findings
        return f"its `__init__` raises {raised(error)}"
    return made


def raised(error: BaseException) -> str:
    """Return the class and the line of an error, but not its text, which may hold a variable's value."""
    return f"{type(error).__name__} ({_location(error)})"


def _location(error: BaseException) -> str:
    """Return the line that raised, outside the import system."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = next(frame for frame in reversed(frames) if not frame.filename.startswith("<frozen "))
    return f"{frame.filename}, line {frame.lineno}"
