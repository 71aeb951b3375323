"""The producer's side of demand: reported demand that is not met yet."""


class Ledger:
    """Reported demand minus emitted events, so that a producer is not asked twice for an event.

    Events that were emitted without demand do not reduce later demand: `owed` is below 0 only from `report_late` to the
    next `report`.
    """

    __slots__ = ("owed",)

    def __init__(self) -> None:
        self.owed = 0

    def report(self, unmet: int) -> int:
        """Return the new demand for `handle_demand`, or 0; `unmet` is the demand of live consumers."""
        demand = unmet - self.owed
        if demand <= 0:
            return 0
        self.owed = unmet
        return demand

    def emitted(self, count: int) -> None:
        """Account for `count` events that the producer emitted."""
        owed = self.owed - count
        self.owed = owed if owed > 0 else 0

    def withdraw(self, count: int) -> None:
        """Withdraw `count` of the reported demand: its stream has ended, so the next stream gets this demand."""
        self.emitted(count)

    def report_late(self, count: int) -> None:
        """Report `count` extra events at the next `report`: they were emitted while their demand was held back."""
        self.owed -= count

    def forget(self) -> None:
        """Forget all reported demand: the callbacks that got it have ended, and the new callbacks get it again."""
        self.owed = 0
