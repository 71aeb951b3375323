"""A token bucket: how many events a rate allows by now, as arithmetic on times that are handed in."""

from headrace.ground.units import Rate


class TokenBucket:
    """Fills evenly and holds at most one period's events (at least one), so that a pause is not made up for at once.

    Guarantees: in any `t` seconds at most `rate * t` events and one bucketful are taken. It begins with one token.
    """

    def __init__(self, rate: Rate, now: float) -> None:
        """`now` and all later times are seconds of one clock that never goes back."""
        self._per_second = rate.per_second
        self._capacity = max(1.0, rate.events)
        self._tokens = 1.0
        self._at = now

    def take(self, wanted: int, now: float) -> int:
        """Take up to `wanted` whole tokens; return how many there were."""
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken

    def wait_seconds(self) -> float:
        """Return how long after the last `take` the next token comes."""
        return max(0.0, (1.0 - self._tokens) / self._per_second)
