"""The producer's side: what `handle_demand` was told and has not yet emitted."""


class Ledger:
    """Told minus emitted, so that no event is asked of a producer twice.

    Events that nobody asked for do not pay in advance: `owed` is below 0 only from `report_late` to the next `report`.
    """

    __slots__ = ("owed",)

    def __init__(self) -> None:
        self.owed = 0

    def report(self, unmet: int) -> int:
        """Return what `handle_demand` is to be told, or 0, given what live consumers still miss."""
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
        """Take back `count` of what was told: it reached a stream that had ended, and the next one is told anew."""
        self.emitted(count)

    def report_late(self, count: int) -> None:
        """Add to what is told next `count` events that were asked for, and emitted before the producer was told so."""
        self.owed -= count

    def forget(self) -> None:
        """Forget what was told: the producer that was told it is gone, and its successor is told anew."""
        self.owed = 0
