"""The demand of a consumer that starts a child for every event: asked for again as children finish."""

from typing import Final

from headrace.pipeline.demand.window import Window

CHILDREN_AT_A_TIME: Final = 50
"""Events of a delivery for which children are started in one turn, so that others get theirs in between."""


class ChildrenWindow(Window):
    """At most `max_demand` children live; once `min_demand` of them have finished, as many more are asked for.

    GenStage's ConsumerSupervisor, as seen on a running one: it is the count of the finished that decides, where another
    consumer looks at what is still coming. With the default half the two are the same.
    """

    __slots__ = ()

    def __init__(self, max_demand: int = 1000, min_demand: int | None = None) -> None:
        super().__init__(max_demand, min_demand)
        self.batch_size = CHILDREN_AT_A_TIME

    def handled(self, size: int) -> int:
        """Account for `size` children that have finished; return how many events to ask for now, or 0."""
        self.coming -= size
        finished = self.max_demand - self.coming
        if finished < self.min_demand or finished <= 0:
            return 0
        self.coming = self.max_demand
        return finished
