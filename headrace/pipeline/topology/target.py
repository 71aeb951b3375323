"""What a stage says of another one to which it subscribes, checked where a type checker may not have been."""

from collections.abc import Hashable, Mapping
from typing import Final, get_args

from headrace.errors import GraphError
from headrace.pipeline.demand.window import is_whole
from headrace.pipeline.flow.subscription import CancelMode, SubscribeTo

_MODES: Final = get_args(CancelMode)


def full_target(stage: str, to: object) -> SubscribeTo:
    """Return the full form of a stage's name, or of what is full already. Raises `GraphError` for what cannot be."""
    if isinstance(to, str):
        return SubscribeTo(to)
    if not isinstance(to, SubscribeTo):
        raise GraphError(stage, f"subscribes to {to!r}, which names no stage: give a name, a handle or a SubscribeTo")
    why = _fault(to)
    if why is not None:
        raise GraphError(stage, f"subscribes {why}")
    return to


def _fault(to: SubscribeTo) -> str | None:
    """Return in words what is wrong; bounds are checked with the window that they make."""
    producer: object = to.producer
    selector: object = to.selector
    if not isinstance(producer, str):
        return f"to {producer!r}, which is no name of a stage: give its name"
    if to.cancel is not None and to.cancel not in _MODES:
        return f"with cancel={to.cancel!r}: it is one of {', '.join(map(repr, _MODES))}"
    numbers: dict[str, object] = {"max_demand": to.max_demand, "min_demand": to.min_demand, "weight": to.weight}
    for option, found in numbers.items():
        if found is not None and not is_whole(found):
            return f"with {option}={found!r}: it is a whole number"
    if selector is not None and not callable(selector):
        return f"with selector={selector!r}: it is a function that returns whether an event is for the stage"
    options: object = to.options
    if not isinstance(options, Mapping):
        return f"with options={options!r}: they are a mapping, such as a dict"
    return None if _is_hashable(to.partition) else f"with partition={to.partition!r}: it is a number or another name"


def _is_hashable(name: Hashable) -> bool:
    try:
        hash(name)
    except TypeError:
        return False
    return True
