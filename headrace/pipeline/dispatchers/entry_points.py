"""Dispatchers by name: the built-in ones, and others by the entry-point group `headrace.dispatchers`."""

from collections.abc import Callable
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from headrace.errors import DispatcherError, class_and_message
from headrace.pipeline.dispatchers.broadcast import BroadcastDispatcher
from headrace.pipeline.dispatchers.demand import DemandDispatcher
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.dispatchers.round_robin import RoundRobinDispatcher
from headrace.pipeline.dispatchers.weighted import WeightedDispatcher

GROUP: Final = "headrace.dispatchers"

BUILT_IN: Final[dict[str, Callable[[], object]]] = {
    "broadcast": BroadcastDispatcher,
    "demand": DemandDispatcher,
    "partition": PartitionDispatcher,
    "round_robin": RoundRobinDispatcher,
    "weighted": WeightedDispatcher,
}
"""The built-in ones are entry points of the same group, too, but finding those searches all installed packages."""


def find_dispatcher(name: str) -> Callable[..., object]:
    """Return the class or function that makes the dispatcher of that name.

    Raises `DispatcherError` when none of that name is installed, or its module cannot be imported.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    guests = _guests()
    if name not in guests:
        names = sorted({*BUILT_IN, *guests})
        near = get_close_matches(name, names, 1)
        raise DispatcherError(
            repr(name), f"is not installed; did you mean {near[0]!r}?" if near else f"is none of {', '.join(names)}"
        )
    try:
        found: object = guests[name].load()
    except Exception as error:
        raise DispatcherError(repr(name), f"cannot be imported: {class_and_message(error)}") from error
    if not callable(found):
        raise DispatcherError(repr(name), "makes nothing: its entry point must name a class, or a function")
    return found


def dispatcher_names() -> tuple[str, ...]:
    """Return the names of all dispatchers that are installed, sorted."""
    return tuple(sorted({*BUILT_IN, *_guests()}))


def _guests() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
