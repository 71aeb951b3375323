"""Stage types that a config names by their class: `module:Class`."""

from importlib import import_module
from typing import Final

from headrace.config.stage_types import NO_STAGE, BrokenType, LoadedType, kind_of, loaded_type
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.functions import FunctionError, FunctionName, import_function, parse_function
from headrace.stages.options import StageType

SHAPE: Final = "the class of a stage is written module:Class, as in shop.stages:Enrich"


class NotAStage(BrokenType):
    """`module:Class` is no stage class; `allowed` are the stage classes of the module, written as types."""

    def __init__(self, name: FunctionName) -> None:
        super().__init__(str(name), NO_STAGE)
        module = import_module(name.module)
        self.allowed = tuple(
            f"{name.module}:{key}" for key, found in vars(module).items() if kind_of(found) and not _is_ours(found)
        )


class NotImported(ProducerConsumer[object, object]):
    """Stands for a class that was not imported; its stages cannot be made."""

    def __init__(self) -> None:
        raise BrokenType("module:Class", "the config was checked without imports: check it with them first")


def custom_type(text: str, *, imports: bool) -> LoadedType:
    """Return the type of `module:Class`; without `imports` only its spelling is checked.

    Raises `FunctionError` where it cannot be imported, and `NotAStage` where it is no stage class.
    """
    name = _parsed(text)
    if not imports:
        return unread_type(text)
    found = loaded_type(text, import_function(name))
    if found is None:
        raise NotAStage(name)
    return found


def unread_type(name: str) -> LoadedType:
    """Return a stand-in for a type whose class was not imported: only its name is known."""
    return LoadedType(name, None, NotImported, StageType)


def dotted(text: str) -> str | None:
    """Return `module:Class` for a type that is written with dots alone.

    >>> dotted("shop.stages.Enrich")
    'shop.stages:Enrich'
    """
    try:
        parse_function(text)
    except FunctionError as error:
        return error.suggestion
    return None


def _parsed(text: str) -> FunctionName:
    try:
        return parse_function(text)
    except FunctionError as error:
        failure = FunctionError(SHAPE, error.column, error.suggestion)
    raise failure


def _is_ours(found: type) -> bool:
    return found.__module__.startswith("headrace.")
