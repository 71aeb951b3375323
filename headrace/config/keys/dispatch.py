"""The words for dispatchers: what `dispatcher:` may say, and what a subscription may say to each of them."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headrace.config.text.findings import Fault, Span
from headrace.config.text.messages import close, missing_key
from headrace.config.text.tree import Found, ListNode, ScalarNode, child, scalars
from headrace.pipeline.dispatchers.entry_points import BUILT_IN, dispatcher_names
from headrace.stages.options import CountField, ExpressionField, refused

DEFAULT_DISPATCHER: Final = "broadcast"
"""What a stage of a config has that says nothing else."""

_MOST_LISTED: Final = 10_000  # partitions; a subscription to one of more is checked at the start only

_OF_TYPE: Final = {
    "partitions": "partition",
    "by": "partition",
    "max_queue": "partition",
    "shuffle_demands_on_first_dispatch": "demand",
}
_HEARD_BY: Final = {
    "selector": ("broadcast", "picks from what is broadcast"),
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
    """Bring the short spelling of `dispatcher`, a name alone, to the long one.

    The name is checked here, too, so that an error of it leads to `dispatcher`, and not to the stage's own `type`.
    """
    if isinstance(value, str):
        return {"type": _installed(value)}
    if not isinstance(value, dict):
        raise refused("bad_value", "it must be the name of a dispatcher, or a mapping with `type:`")
    return value


class DispatcherKeys(BaseModel):
    """Who gets an event, where a stage has several subscribers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


def subscription_faults(producer: str, told: Found | None, subscription: Found) -> Iterator[tuple[Span, Fault]]:
    """Yield what is wrong with what a subscription says to the dispatcher of the stage that it names.

    `told` is that stage's `dispatcher:`. Where it cannot be made out, or is a guest's, nothing is said.
    """
    kind = _kind(told)
    if kind is None:
        return
    for key, (owner, what) in _HEARD_BY.items():
        said = child(subscription, key)
        if said is not None and kind != owner:
            message = f"a {key} {what}, and {producer} has `dispatcher: {kind}`"
            yield said.name, Fault("misplaced-key", message, key)
    if kind == "partition" and told is not None:
        yield from _partition_faults(producer, child(told, "partitions"), subscription)


def side_faults(output: str, told: Found | None, subscription: Found) -> Iterator[tuple[Span, Fault]]:
    """Yield what is wrong with what a subscription says to a side output.

    Those broadcast where their stages do, as `told` says of one; else each event goes to one of their subscribers.
    """
    kind = _kind(told)
    if kind is None:
        return
    for key, (owner, what) in _HEARD_BY.items():
        said = child(subscription, key)
        if said is not None and not kind == owner == "broadcast":
            message = f"a {key} {what}, and {output} has `dispatcher: {kind if kind == 'broadcast' else 'demand'}`"
            yield said.name, Fault("misplaced-key", message, key)


def unheard_partitions(producer: str, told: Found | None, subscriptions: Sequence[Found]) -> Iterator[Fault]:
    """Yield what is wrong when no subscription takes some partition: it would fill, and then stop the stage.

    Nothing is said where partitions, or what the subscriptions say, cannot be made out.
    """
    names = None if told is None else _names(child(told, "partitions"))
    if names is None or _kind(told) != "partition":
        return
    taken = [child(subscription, "partition") for subscription in subscriptions]
    heard = [one.node.value for one in taken if one is not None and isinstance(one.node, ScalarNode)]
    unheard = [str(name) for name in names if name not in heard]
    if unheard and len(heard) == len(subscriptions) and set(heard) <= set(names):
        several = f"partitions {', '.join(unheard)}" if len(unheard) > 1 else f"partition {unheard[0]}"
        yield Fault(
            "nobody-subscribes",
            f"no stage takes {several} of {producer}, which would stop once it is full: subscribe one to it, "
            "or let `by` be None for events of no use",
        )


def _partition_faults(producer: str, told: Found | None, subscription: Found) -> Iterator[tuple[Span, Fault]]:
    said = child(subscription, "partition")
    names = _names(told)
    if said is None:
        where = f"a subscription to {producer}, which has a partition dispatcher,"
        yield (
            subscription.node.span if isinstance(subscription.node, ScalarNode) else subscription.name,
            missing_key("partition", where),
        )
    elif names is not None and isinstance(said.node, ScalarNode) and said.node.value not in names:
        shown = None if said.node.filled else said.node.text
        allowed = tuple(map(str, names))
        found = f"no partition `{shown}`" if shown is not None else "no such partition"
        message = f"{producer} has {found}: it has {', '.join(allowed)}"
        yield said.node.span, Fault("bad-value", message, shown, allowed, close(shown, allowed) if shown else None)


def _kind(told: Found | None) -> str | None:
    """Return which built-in dispatcher it is; None for a guest's, and where a variable says it or nobody can tell."""
    if told is None:
        return DEFAULT_DISPATCHER
    node = (child(told, "type") or told).node
    return node.text if isinstance(node, ScalarNode) and not node.filled and node.text in BUILT_IN else None


def _names(told: Found | None) -> tuple[object, ...] | None:
    """Return the partitions' names; None where they cannot be made out, or variables say them: they are not shown."""
    if told is None or any(scalar.filled for scalar in scalars(told.node)):
        return None
    node = told.node
    if isinstance(node, ListNode):
        names = [item.value for item in node.items if isinstance(item, ScalarNode)]
        return tuple(names) if len(names) == len(node.items) else None
    count = node.value if isinstance(node, ScalarNode) else None
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 < count <= _MOST_LISTED
    return tuple(range(count)) if is_count and isinstance(count, int) else None
