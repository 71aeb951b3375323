"""The keys with which a stage says how its events are handled: where, how many at a time, and what if they fail."""

import builtins
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from headrace.config.text.findings import Fault, Span
from headrace.config.text.tree import Found, child
from headrace.pipeline.failure import Retry
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import PLAIN_CONCURRENCY, Concurrency, Place
from headrace.pipeline.stage.stage import Stage
from headrace.stages.functions import FunctionError, import_function, parse_function
from headrace.stages.options import CountField, DurationField, ExpressionField, Keys, refused

_BUILT_IN: Final = {
    name: error for name, error in vars(builtins).items() if isinstance(error, type) and issubclass(error, Exception)
}
_DEFAULT: Final = Retry()
_SHAPE: Final = "an error class is written as Python's own name, such as ConnectionError, or as module:Class"


def _error_class(value: object, info: ValidationInfo) -> type[Exception]:
    """Return the class; without imports, any of another module is taken for granted."""
    if isinstance(value, type) and issubclass(value, Exception):
        return value
    if not isinstance(value, str):
        raise refused("bad_value", _SHAPE)
    if ":" not in value:
        if value in _BUILT_IN:
            return _BUILT_IN[value]
        close = get_close_matches(value, _BUILT_IN, n=1)
        raise refused("bad_value", f"Python has no error class of that name: {_SHAPE}", suggestion=close and close[0])
    try:
        name = parse_function(value)
        found: object = import_function(name) if (info.context or {}).get("import", True) else Exception
    except FunctionError as error:
        refusal = refused("bad_import", error.why, column=error.column, suggestion=error.suggestion)
    else:
        if isinstance(found, type) and issubclass(found, Exception):
            return found
        refusal = refused("bad_import", f"{name} is no class of errors")
    raise refusal


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _some(value: object) -> object:
    if value == []:
        raise refused("bad_value", "without any error class nothing would be tried again: leave `retry` out then")
    return _listed(value)


def _named(error: type[Exception]) -> str:
    return error.__name__ if error.__module__ == "builtins" else f"{error.__module__}:{error.__qualname__}"


ErrorClassField = Annotated[
    type[Exception],
    PlainValidator(_error_class),
    PlainSerializer(_named, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
"""A class of errors, by its name."""

ErrorClasses = Annotated[tuple[ErrorClassField, ...], BeforeValidator(_listed)]


MOST_COPIES: Final = 1000
"""Of a stage with `partition_by`; a hundred times as many had not started after 25 s."""


class RetryKeys(Keys):
    """How often events that fail are tried, and how long between."""

    attempts: Annotated[CountField, Field(ge=1)] = _DEFAULT.attempts
    backoff: DurationField = _DEFAULT.backoff_seconds
    max_backoff: DurationField = _DEFAULT.max_backoff_seconds
    on: Annotated[tuple[ErrorClassField, ...], BeforeValidator(_some)] = (Exception,)
    not_on: ErrorClasses = ()

    def retry(self) -> Retry:
        """Return what the machine takes."""
        return Retry(self.attempts, self.backoff, self.max_backoff, self.on, self.not_on)


def long_retry(value: object) -> object:
    """Bring the short spelling of `retry`, a number of attempts, to the long one."""
    if isinstance(value, bool) or not isinstance(value, int | dict):
        raise refused("bad_value", "it must be a number of attempts, or a mapping with `attempts:`")
    return {"attempts": value} if isinstance(value, int) else value


class HandlingKeys(Keys):
    """How a stage handles its events, whatever its type."""

    retry: Annotated[RetryKeys, BeforeValidator(long_retry)] | None = None
    timeout: Annotated[DurationField, Field(gt=0)] | None = None
    concurrency: Annotated[CountField, Field(ge=1)] = 1
    partition_by: ExpressionField | None = None
    ordered: bool = True
    executor: Place = "inline"
    dead_letters: bool = True

    def how(self) -> Concurrency:
        """Return how many events are handled at a time, and where."""
        return PLAIN_CONCURRENCY if self.partition_by else Concurrency(self.concurrency, self.executor, self.ordered)


HANDLING_KEYS: Final = tuple(HandlingKeys.model_fields)
"""The keys that say it."""


def handling_faults(keys: HandlingKeys, stage: type[Stage] | Stage, found: Found) -> Iterator[tuple[Span, Fault]]:
    """Yield what a stage cannot do of what its keys say, at the key that says it; a class stands for all its stages."""
    if isinstance(stage, type) and issubclass(stage, Producer):
        for key in HANDLING_KEYS:
            told = child(found, key)
            if told is not None:
                yield told.name, Fault("misplaced-key", f"a source handles no events: remove `{key}`", key)
    elif keys.partition_by is not None and (keys.concurrency == 1 or keys.executor != "inline"):
        place = child(found, "executor" if keys.executor != "inline" else "partition_by") or found
        copies = "with `partition_by` a stage has several copies: give their number, `concurrency`, and no `executor`"
        yield place.name, Fault("misplaced-key", copies)
    elif keys.partition_by is not None and keys.concurrency > MOST_COPIES:
        place = child(found, "concurrency") or found
        many = f"a stage has {MOST_COPIES} copies at most, each a stage of its own with metrics of its own"
        yield place.node.span, Fault("bad-value", many, str(keys.concurrency))
    elif isinstance(stage, Stage):
        why = keys.how().fault(stage, has_timeout=keys.timeout is not None)
        places = (child(found, key) for key in ("concurrency", "executor", "timeout"))
        if why is not None:
            yield next((place for place in places if place), found).name, Fault("misplaced-key", f"this stage {why}")
