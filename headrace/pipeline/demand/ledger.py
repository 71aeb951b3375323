"""The producer's side: reported demand that is not yet met."""


class Ledger:
    """Reported demand minus emitted events, so that no event is asked of a producer twice.

    Events without demand do not pay in advance: `owed` is below 0 only from `report_late` to the next `report`.
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
        """Withdraw `count` of the reported demand: it reached a stream that had ended, and the next one gets it."""
        self.emitted(count)

    def report_late(self, count: int) -> None:
        """Report `count` extra events at the next `report`: they were emitted while their demand was held back."""
        self.owed -= count

    def forget(self) -> None:
        """Forget all reported demand: the callbacks that got it have ended, and their successor gets it anew."""
        self.owed = 0
