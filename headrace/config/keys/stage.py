"""Keys common to all stages: handling, buffer, dispatcher."""

import builtins
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from headrace.config.text.findings import Problem, TextSpan
from headrace.config.text.messages import close, missing_key
from headrace.config.text.tree import ListNode, LocatedNode, ScalarNode, child, scalars
from headrace.pipeline.demand.buffer import KeepPolicy
from headrace.pipeline.dispatchers.entry_points import BUILT_IN, dispatcher_names
from headrace.pipeline.failure import Retry
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import PLAIN_CONCURRENCY, Concurrency, ExecutionMode
from headrace.pipeline.stage.stage import Stage
from headrace.stages.edges.edge import EdgeLimits, WhenFull
from headrace.stages.functions import FunctionError, import_function, parse_function
from headrace.stages.options import CountField, DurationField, ExpressionField, Options, PathField, SizeField, refused

_BUILT_IN: Final = {
    name: error for name, error in vars(builtins).items() if isinstance(error, type) and issubclass(error, Exception)
}
_DEFAULT: Final = Retry()
_SHAPE: Final = "an error class is written as Python's own name, such as ConnectionError, or as module:Class"


def _error_class(value: object, info: ValidationInfo) -> type[Exception]:
    """Return the class; without imports, any class of another module counts as found."""
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
        failure = refused("bad_import", error.why, column=error.column, suggestion=error.suggestion)
    else:
        if isinstance(found, type) and issubclass(found, Exception):
            return found
        failure = refused("bad_import", f"{name} is no class of errors")
    raise failure


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
"""An error class, by its name."""

ErrorClasses = Annotated[tuple[ErrorClassField, ...], BeforeValidator(_listed)]


MOST_COPIES: Final = 1000
"""The limit of copies of a stage with `partition_by`; 100,000 copies had not started after 25 s."""


class RetryKeys(Options):
    """How often failed events are tried, and the wait between the tries."""

    attempts: Annotated[CountField, Field(ge=1)] = _DEFAULT.attempts
    backoff: DurationField = _DEFAULT.backoff_seconds
    max_backoff: DurationField = _DEFAULT.max_backoff_seconds
    on: Annotated[tuple[ErrorClassField, ...], BeforeValidator(_some)] = (Exception,)
    not_on: ErrorClasses = ()

    def retry(self) -> Retry:
        """Return the retry policy of a stage."""
        return Retry(self.attempts, self.backoff, self.max_backoff, self.on, self.not_on)


def long_retry(value: object) -> object:
    """Turn the short form of `retry`, a number of attempts, into the long one."""
    if isinstance(value, bool) or not isinstance(value, int | dict):
        raise refused("bad_value", "it must be a number of attempts, or a mapping with `attempts:`")
    return {"attempts": value} if isinstance(value, int) else value


class HandlingKeys(Options):
    """How a stage handles its events, whatever its type."""

    retry: Annotated[RetryKeys, BeforeValidator(long_retry)] | None = None
    timeout: Annotated[DurationField, Field(gt=0)] | None = None
    concurrency: Annotated[CountField, Field(ge=1)] = 1
    partition_by: ExpressionField | None = None
    ordered: bool = True
    executor: ExecutionMode = "inline"
    dead_letters: bool = True

    def how(self) -> Concurrency:
        """Return how many events are handled at a time, and where."""
        return PLAIN_CONCURRENCY if self.partition_by else Concurrency(self.concurrency, self.executor, self.ordered)


HANDLING_KEYS: Final = tuple(HandlingKeys.model_fields)
"""The keys about handling."""


def handling_problems(
    keys: HandlingKeys, stage: type[Stage] | Stage, found: LocatedNode
) -> Iterator[tuple[TextSpan, Problem]]:
    """Yield the keys that a stage cannot follow, each with its place; a class stands for all its stages."""
    if isinstance(stage, type) and issubclass(stage, Producer):
        for key in HANDLING_KEYS:
            dispatcher = child(found, key)
            if dispatcher is not None:
                yield dispatcher.name, Problem("misplaced-key", f"a source handles no events: remove `{key}`", key)
    elif keys.partition_by is not None and (keys.concurrency == 1 or keys.executor != "inline"):
        keys_node = child(found, "executor" if keys.executor != "inline" else "partition_by") or found
        copies = "with `partition_by` a stage has several copies: give their number, `concurrency`, and no `executor`"
        yield keys_node.name, Problem("misplaced-key", copies)
    elif keys.partition_by is not None and keys.concurrency > MOST_COPIES:
        keys_node = child(found, "concurrency") or found
        many = f"a stage has {MOST_COPIES} copies at most, each a stage of its own with metrics of its own"
        yield keys_node.node.span, Problem("bad-value", many, str(keys.concurrency))
    elif isinstance(stage, Stage):
        why = keys.how().problem(stage, has_timeout=keys.timeout is not None)
        locations = (child(found, key) for key in ("concurrency", "executor", "timeout"))
        if why is not None:
            yield (
                next((keys_node for keys_node in locations if keys_node), found).name,
                Problem("misplaced-key", f"this stage {why}"),
            )


DISK_EVENTS: Final = 10_000_000
DISK_BYTES: Final = 1024 * 1024 * 1024
"""The default limits of a buffer on disk."""

_KEPT: Final[dict[WhenFull, KeepPolicy | None]] = {
    "block": "all",
    "drop_newest": "first",
    "drop_oldest": "last",
    "error": None,
}


class BufferKeys(Options):
    """The buffer of events that no consumer has asked for; a source may have it on disk."""

    kind: Literal["memory", "sqlite"] = "memory"
    path: PathField | None = None
    max_events: Annotated[CountField, Field(ge=0)] | None = None
    max_bytes: Annotated[SizeField, Field(ge=1)] | None = None
    when_full: WhenFull | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "BufferKeys":
        if self.kind == "sqlite":
            if self.path is None:
                raise refused("missing_key", "a buffer of kind sqlite needs `path:`, its file")
            if self.max_events == 0:
                raise refused(
                    "bad_value", "must be 1 or more for a buffer on disk", is_predicate=True, path=["max_events"]
                )
            return self
        if self.path is not None:
            raise refused("misplaced_key", "`path` is for a buffer of kind sqlite", path=["path"])
        return self

    @property
    def keep(self) -> KeepPolicy | None:
        """The events that a full buffer in memory keeps; None for the default of the stage."""
        return None if self.when_full is None else _KEPT[self.when_full]

    def bounds(self) -> EdgeLimits:
        """Return the limits of a buffer on disk."""
        return EdgeLimits(self.max_events or DISK_EVENTS, self.max_bytes or DISK_BYTES)


def buffer_problems(
    kind: str, buffer: BufferKeys, found: LocatedNode, *, is_partitioned: bool
) -> Iterator[tuple[TextSpan, Problem]]:
    """Yield the keys of the buffer that this kind of stage cannot have."""
    keys_node = child(found, "buffer")
    if keys_node is None:
        return
    dispatcher = child(keys_node, "max_bytes")
    if is_partitioned and buffer.kind == "memory" and dispatcher is not None:
        message = "with partitions, events wait in those, and `max_queue` of the dispatcher limits them: leave it out"
        yield dispatcher.name, Problem("misplaced-key", message, "max_bytes")
    if kind != "producer_consumer":
        return
    if buffer.kind == "sqlite":
        message = "only a source has a buffer on disk: what this stage emits comes again from its source"
        yield keys_node.name, Problem("misplaced-key", message, "buffer")
        return
    for key, is_meant in (("max_bytes", True), ("when_full", buffer.when_full in ("block", "error"))):
        dispatcher = child(keys_node, key)
        if dispatcher is not None and is_meant:
            message = "only a source has to wait for its buffer: this stage takes in no more than its consumers ask for"
            yield dispatcher.name, Problem("misplaced-key", message, key)


DEFAULT_DISPATCHER: Final = "broadcast"
"""The dispatcher of a stage of a config without that key."""

_MOST_LISTED: Final = 10_000  # partitions; a subscription to one of more is checked at the start only

_OF_TYPE: Final = {
    "partitions": "partition",
    "by": "partition",
    "max_queue": "partition",
    "shuffle_demands_on_first_dispatch": "demand",
}
_SUPPORTED_BY: Final = {
    "selector": ("broadcast", "picks from broadcast events"),
    "partition": ("partition", "is for a partition dispatcher"),
    "weight": ("weighted", "is for a weighted dispatcher"),
}


def _installed(value: str) -> str:
    if value in BUILT_IN:
        return value
    names = dispatcher_names()
    if value not in names:
        why = f"must be an installed dispatcher: {', '.join(names)}"
        raise refused("bad_value", why, is_predicate=True, suggestion=close(value, names))
    return value


def _distinct(value: tuple[int | str, ...]) -> tuple[int | str, ...]:
    if len(set(value)) < len(value):
        raise refused("bad_value", "must give each partition a name of its own", is_predicate=True)
    return value


def long_form(value: object) -> object:
    """Turn the short form of `dispatcher`, a name alone, into the long one.

    The name is checked here, so that the finding points at `dispatcher`, and not at the stage's own `type`.
    """
    if isinstance(value, str):
        return {"type": _installed(value)}
    if not isinstance(value, dict):
        raise refused("bad_value", "it must be the name of a dispatcher, or a mapping with `type:`")
    return value


class DispatcherKeys(Options):
    """How events are distributed to several subscribers."""

    type: Annotated[str, AfterValidator(_installed)] = DEFAULT_DISPATCHER
    partitions: (
        Annotated[CountField, Field(ge=1)]
        | Annotated[tuple[int | str, ...], Field(min_length=1), AfterValidator(_distinct)]
        | None
    ) = None
    by: ExpressionField | None = None
    max_queue: Annotated[CountField, Field(ge=1)] = 1000
    shuffle_demands_on_first_dispatch: bool = False

    @model_validator(mode="after")
    def _fits_its_type(self) -> "DispatcherKeys":
        for key, owner in _OF_TYPE.items():
            if key in self.model_fields_set and self.type != owner:
                raise refused("misplaced_key", f"only a {owner} dispatcher has this key: remove it", path=[key])
        if self.type == "partition" and self.partitions is None:
            why = "a partition dispatcher needs `partitions:`, how many there are or a list of their names"
            raise refused("missing_key", why)
        if isinstance(self.partitions, tuple) and self.by is None:
            raise refused("missing_key", "partitions with names need `by:`, an expression whose value is one of them")
        return self


def subscription_problems(
    producer: str, dispatcher: LocatedNode | None, subscription: LocatedNode
) -> Iterator[tuple[TextSpan, Problem]]:
    """Yield the options of a subscription that the dispatcher of its producer does not support.

    `dispatcher` is the key of the producer. Yield nothing where it is unknown, or a guest's.
    """
    kind = _kind(dispatcher)
    if kind is None:
        return
    for key, (owner, what) in _SUPPORTED_BY.items():
        option = child(subscription, key)
        if option is not None and kind != owner:
            message = f"a {key} {what}, and {producer} has `dispatcher: {kind}`"
            yield option.name, Problem("misplaced-key", message, key)
    if kind == "partition" and dispatcher is not None:
        yield from _partition_problems(producer, child(dispatcher, "partitions"), subscription)


def side_output_problems(
    output: str, dispatcher: LocatedNode | None, subscription: LocatedNode
) -> Iterator[tuple[TextSpan, Problem]]:
    """Yield the options of a subscription that a side output does not support.

    A side output broadcasts if the `dispatcher` of its stage does; otherwise each event goes to one subscriber.
    """
    kind = _kind(dispatcher)
    if kind is None:
        return
    for key, (owner, what) in _SUPPORTED_BY.items():
        option = child(subscription, key)
        if option is not None and not kind == owner == "broadcast":
            message = f"a {key} {what}, and {output} has `dispatcher: {kind if kind == 'broadcast' else 'demand'}`"
            yield option.name, Problem("misplaced-key", message, key)


def unconsumed_partitions(
    producer: str, dispatcher: LocatedNode | None, subscriptions: Sequence[LocatedNode]
) -> Iterator[Problem]:
    """Yield a problem when no subscription takes some partition: it would fill up and stop the stage.

    Yield nothing where the partitions or the subscriptions are unknown.
    """
    names = None if dispatcher is None else _names(child(dispatcher, "partitions"))
    if names is None or _kind(dispatcher) != "partition":
        return
    taken = [child(subscription, "partition") for subscription in subscriptions]
    consumed = [one.node.value for one in taken if one is not None and isinstance(one.node, ScalarNode)]
    unconsumed = [str(name) for name in names if name not in consumed]
    if unconsumed and len(consumed) == len(subscriptions) and set(consumed) <= set(names):
        names_text = f"partitions {', '.join(unconsumed)}" if len(unconsumed) > 1 else f"partition {unconsumed[0]}"
        yield Problem(
            "nobody-subscribes",
            f"no stage takes {names_text} of {producer}, which would stop once it is full: subscribe one to it, "
            "or let `by` be None for events of no use",
        )


def _partition_problems(
    producer: str, dispatcher: LocatedNode | None, subscription: LocatedNode
) -> Iterator[tuple[TextSpan, Problem]]:
    option = child(subscription, "partition")
    names = _names(dispatcher)
    if option is None:
        where = f"a subscription to {producer}, which has a partition dispatcher,"
        yield (
            subscription.node.span if isinstance(subscription.node, ScalarNode) else subscription.name,
            missing_key("partition", where),
        )
    elif names is not None and isinstance(option.node, ScalarNode) and option.node.value not in names:
        shown, allowed = option.node.shown, tuple(map(str, names))
        message = f"{producer} has no partition `{shown}`: it has {', '.join(allowed)}"
        yield option.node.span, Problem("bad-value", message, shown, allowed, close(shown, allowed))


def _kind(dispatcher: LocatedNode | None) -> str | None:
    """Return the name of a built-in dispatcher; None for any other, and if a variable gives the name."""
    if dispatcher is None:
        return DEFAULT_DISPATCHER
    node = (child(dispatcher, "type") or dispatcher).node
    return node.text if isinstance(node, ScalarNode) and not node.filled and node.text in BUILT_IN else None


def _names(dispatcher: LocatedNode | None) -> tuple[object, ...] | None:
    """Return the partitions' names; None where they are unknown, or come from variables, whose values are not shown."""
    if dispatcher is None or any(scalar.filled for scalar in scalars(dispatcher.node)):
        return None
    node = dispatcher.node
    if isinstance(node, ListNode):
        names = [item.value for item in node.items if isinstance(item, ScalarNode)]
        return tuple(names) if len(names) == len(node.items) else None
    count = node.value if isinstance(node, ScalarNode) else None
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 < count <= _MOST_LISTED
    return tuple(range(count)) if is_count and isinstance(count, int) else None
