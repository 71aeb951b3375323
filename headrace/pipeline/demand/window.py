"""The consumer's side of demand; also the windows of manual demand and of consumer supervisors.

GenStage's arithmetic, as observed in a running GenStage: the first ask is `max_demand`; a delivery is cut into batches
of at most `max_demand - min_demand`; when the outstanding events have fallen to `min_demand` after a batch, the window
is filled up again.
"""

import sys
from typing import Final

from typing_extensions import override

from headrace.errors import DemandError


class Window:
    """The events that one consumer asked one producer for and has not handled yet.

    Guarantees: `0 <= outstanding <= max_demand`, and every ask is between 1 and `max_demand`.
    """

    __slots__ = ("batch_size", "max_demand", "min_demand", "outstanding")

    def __init__(self, max_demand: int = 1000, min_demand: int | None = None) -> None:
        """Check both bounds.

        `min_demand` is half of `max_demand` when it is not given.
        Raises `DemandError` unless `max_demand >= 1` and `0 <= min_demand < max_demand`.
        """
        if not is_whole(max_demand) or max_demand < 1:
            raise DemandError("max_demand", max_demand, "a whole number, 1 or more")
        if min_demand is None:
            min_demand = max_demand // 2
        if not is_whole(min_demand) or not 0 <= min_demand < max_demand:
            raise DemandError("min_demand", min_demand, f"a whole number from 0 to {max_demand - 1} (below max_demand)")
        self.max_demand = max_demand
        self.min_demand = min_demand
        self.batch_size = max_demand - min_demand
        self.outstanding = 0

    def open(self) -> int:
        """Return how many events to ask for first: as many as `max_demand` allows beside the outstanding events."""
        ask = self.max_demand - self.outstanding
        if ask <= 0:
            return 0
        self.outstanding = self.max_demand
        return ask

    def handled(self, size: int) -> int:
        """Account for a handled batch of `size` events, at most `outstanding`; return how many to ask for now, or 0."""
        left = self.outstanding - size
        if left > self.min_demand:
            self.outstanding = left
            return 0
        self.outstanding = self.max_demand
        return self.max_demand - left

    def check_room(self, demand: int, outstanding: int) -> int:
        """Return `demand`; raises `DemandError` below 0, and when more than `max_demand` would be outstanding."""
        room = self.max_demand - outstanding
        if not is_whole(demand) or not 0 <= demand <= room:
            raise DemandError(
                "demand", demand, f"a whole number from 0 to {room}: {outstanding} events are outstanding"
            )
        return demand

    def resumed_at(self, outstanding: int) -> "Window":
        """Take over the outstanding events of the former window of the subscription; return this one."""
        self.outstanding = outstanding
        return self

    def missing(self) -> int:
        """Return how many events to ask for after a change of the bounds, and account for them."""
        return self.handled(0)


def checked(demand: int) -> int:
    """Return `demand`; raises `DemandError` below 0."""
    if not is_whole(demand) or demand < 0:
        raise DemandError("demand", demand, "a whole number, 0 or more")
    return demand


def is_whole(number: object) -> bool:
    """Return whether a value is a whole number; a bool is not."""
    return isinstance(number, int) and not isinstance(number, bool)


class ManualWindow(Window):
    """A window that asks for events only by `ask`; a whole delivery is one batch (GenStage's manual mode).

    Guarantees: `0 <= outstanding <= max_demand`.
    """

    __slots__ = ()

    def __init__(self, max_demand: int = 1000, min_demand: int | None = None) -> None:
        super().__init__(max_demand, min_demand)
        self.batch_size = sys.maxsize

    @override
    def open(self) -> int:
        return 0

    def ask(self, demand: int) -> None:
        """Account for an ask; raises as `check_room`."""
        self.outstanding += self.check_room(demand, self.outstanding)

    @override
    def handled(self, size: int) -> int:
        self.outstanding -= size
        return 0


class EndedWindow(Window):
    """The window of a subscription that has ended: it asks for nothing more, and cuts waiting deliveries as before."""

    __slots__ = ()

    def __init__(self, former: Window) -> None:
        super().__init__(former.max_demand, former.min_demand)
        self.batch_size = former.batch_size

    @override
    def open(self) -> int:
        return 0

    @override
    def handled(self, size: int) -> int:
        self.outstanding -= size
        return 0


CHILDREN_AT_A_TIME: Final = 50
"""The most events of a delivery that get their children in one turn, so that other processes get turns between."""


class ChildrenWindow(Window):
    """At most `max_demand` children live. When `min_demand` of them have finished, as many more events are asked for.

    GenStage's ConsumerSupervisor, as observed in a running one: it counts finished children, where other consumers
    count outstanding events. With the default `min_demand` both rules ask for the same numbers.
    """

    __slots__ = ()

    def __init__(self, max_demand: int = 1000, min_demand: int | None = None) -> None:
        super().__init__(max_demand, min_demand)
        self.batch_size = CHILDREN_AT_A_TIME

    @override
    def handled(self, size: int) -> int:
        self.outstanding -= size
        finished = self.max_demand - self.outstanding
        if finished < self.min_demand or finished <= 0:
            return 0
        self.outstanding = self.max_demand
        return finished
