"""Checks that a stage class has the callback that its kind needs, and misspells none."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Final

from headrace.errors import MissingCallback, MisspeltCallback
from headrace.otp.process.callbacks import is_overridden
from headrace.pipeline.stage.consumer import Consumer, HandlingStage
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor, check_supervisor
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.stage import Stage

_PREFIX: Final = "handle_"

_LIKENESS: Final = 0.82
"""Names at least this similar count as misspelt. Methods are messages, so `handle_inform` stays allowed."""


def check_callback(first: object) -> None:
    """Refuse a stage whose class leaves out the callback that does its work, or misspells one.

    Raises `MissingCallback` or `MisspeltCallback`.
    """
    for kind in (Producer, ProducerConsumer, Consumer):
        if isinstance(first, kind):
            _check_names(first, kind)
    if isinstance(first, Producer) and type(first).handle_demand is Producer.handle_demand:
        raise MissingCallback(first, "handle_demand(self, demand)")
    if isinstance(first, ConsumerSupervisor):
        check_supervisor(first)
        return
    for base in (ProducerConsumer, Consumer):
        if isinstance(first, base) and type(first).handle_events is base.handle_events:
            raise MissingCallback(first, "handle_events(self, events)")


def own_handle_each(stage: HandlingStage) -> Callable[[list[object]], object] | None:
    """Return the `handle_each` of a stage; None where its class has none of its own."""
    if not isinstance(stage, ProducerConsumer):
        return None
    handle_each = stage.handle_each
    return handle_each if is_overridden(handle_each, ProducerConsumer.handle_each) else None


def _check_names(first: Stage, kind: type[Stage]) -> None:
    """Refuse a `handle_*` method that looks like a callback of its kind, unless the class has that callback, too."""
    declared = [name for name in dir(kind) if name.startswith(_PREFIX)]
    missing = [name for name in declared if not is_overridden(getattr(first, name), getattr(kind, name))]
    for name in dir(type(first)):
        if name.startswith(_PREFIX) and name not in declared:
            near = near_callback(name, missing)
            if near is not None:
                raise MisspeltCallback(first, name, near)


def near_callback(name: str, callbacks: Iterable[str]) -> str | None:
    """Return the callback that `name` misspells; None for a method of the user's own.

    >>> near_callback("handle_canel", ["handle_cancel"]), near_callback("handle_order", ["handle_room"])
    ('handle_cancel', None)
    """
    suffix = name.removeprefix(_PREFIX)
    suffixes = [callback.removeprefix(_PREFIX) for callback in callbacks]
    near = get_close_matches(suffix, [meant for meant in suffixes if meant[:1] == suffix[:1]], 1, _LIKENESS)
    return _PREFIX + near[0] if near else None
