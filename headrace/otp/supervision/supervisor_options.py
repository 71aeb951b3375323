"""What a supervisor is told beside its name."""

from collections.abc import Sequence
from typing import Final, TypedDict

from headrace.errors import BadOption
from headrace.otp.process.state import check_count, check_seconds
from headrace.otp.supervision.child_spec import ChildSpec
from headrace.otp.supervision.restart import Strategy

_STRATEGIES: Final = ("one_for_one", "one_for_all", "rest_for_one")


class SupervisorOptions(TypedDict, total=False):
    """How a supervisor looks after its children.

    `strategy` says who is restarted with a child: `"one_for_one"` it alone (the default), `"one_for_all"` all,
    `"rest_for_one"` it and those that were started after it. `children` are started in order at its start. It gives
    up at more than `max_restarts` (3) within `max_seconds` (5).
    """

    strategy: Strategy
    children: tuple[ChildSpec[object], ...]
    max_restarts: int
    max_seconds: float


def check_options(options: SupervisorOptions) -> None:
    """Raise `BadOption` for what no supervisor can do."""
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
