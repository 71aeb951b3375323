"""The stage types that a config may name: ours and those of guests, all by the entry-point group `headrace.stages`."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import cast

from pydantic import BaseModel

from headrace.ground.errors import HeadraceError
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.graph import Kind

GROUP = "headrace.stages"

AnyStage = Producer[object] | ProducerConsumer[object, object] | Consumer[object]

_KINDS: tuple[tuple[type, Kind], ...] = (
    (ProducerConsumer, "producer_consumer"),
    (Producer, "producer"),
    (Consumer, "consumer"),
)


@dataclass(frozen=True, slots=True)
class StageType:
    """A stage type, loaded: what it is, what options it has, and how a stage of it is made of checked options.

    With `needs_jobs` it is made of its options and the `Jobs` of the pipeline.
    """

    name: str
    kind: Kind
    options: type[BaseModel]
    make: Callable[..., AnyStage]
    needs_jobs: bool = False

    @property
    def stage(self) -> type[AnyStage]:
        """The class itself."""
        return cast("type[AnyStage]", self.make)


class BrokenType(HeadraceError):
    """A stage type is installed and cannot be used; `why` says what is wrong with it."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why
        super().__init__(f"the stage type {name} cannot be used: {why}")


class Catalogue:
    """Stage types by name, each loaded when it is first asked for."""

    def __init__(self, loaders: Mapping[str, Callable[[], object]]) -> None:
        """`loaders` return the class of a stage type: an entry point's `load`, or anything that does the same."""
        self._loaders = dict(loaders)

    @classmethod
    def installed(cls) -> "Catalogue":
        """Return all types that are installed; nothing of theirs is imported yet."""
        return cls({point.name: point.load for point in entry_points(group=GROUP)})

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all types, sorted."""
        return tuple(sorted(self._loaders))

    def find(self, name: str) -> StageType:
        """Return the type of that name, which must be one of `names`; raises BrokenType when it cannot be used."""
        try:
            found = self._loaders[name]()
        except Exception as error:  # noqa: BLE001 - what a guest's module raises must not hide the other findings
            told = f": {error.msg}" if isinstance(error, ImportError) else ""
            why = f"its module raises {type(error).__name__}{told} ({_place(error)})"
        else:
            return _stage_type(name, found)
        raise BrokenType(name, why)


def _stage_type(name: str, found: object) -> StageType:
    kind = next((kind for base, kind in _KINDS if isinstance(found, type) and issubclass(found, base)), None)
    if kind is None:
        raise BrokenType(name, "it is not a class made of Producer, ProducerConsumer or Consumer")
    options = getattr(found, "Options", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        raise BrokenType(name, "it has no `Options`, a pydantic model")
    make = cast("Callable[..., AnyStage]", found)
    return StageType(name, kind, options, make, needs_jobs=bool(getattr(found, "needs_jobs", False)))


def _place(error: BaseException) -> str:
    """Return the line that raised, the import system's own aside."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = next(frame for frame in reversed(frames) if not frame.filename.startswith("<frozen "))
    return f"{frame.filename}, line {frame.lineno}"
