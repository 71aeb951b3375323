"""When a supervisor restarts a child, and when it exits instead: OTP's rules on plain values."""

from collections import deque
from collections.abc import Sequence
from typing import Final, Literal

Restart = Literal["permanent", "transient", "temporary"]
"""OTP's restart types: always; only after an abnormal exit; never."""

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""OTP's strategies: restart the failed child alone; all children; or it and the children started after it."""

MAX_RESTARTS: Final = 3
MAX_SECONDS: Final = 5.0


def wants_restart(restart: Restart, *, is_normal: bool) -> bool:
    """Return whether a child with restart type `restart` is started again; `is_normal` is how it exited.

    >>> wants_restart("transient", is_normal=True)
    False
    """
    return restart == "permanent" or (restart == "transient" and not is_normal)


def affected(strategy: Strategy, children: Sequence[str], failed: str) -> Sequence[str]:
    """Return the children to restart with `failed`, in that order; `children` are all, in the order of their start.

    The running children are stopped before, in reverse order. A temporary child is stopped, too, but not started again.

    >>> affected("rest_for_one", ["a", "b", "c"], "b")
    ['b', 'c']
    """
    if strategy == "one_for_one":
        return [failed]
    return children if strategy == "one_for_all" else children[children.index(failed) :]


class RestartWindow:
    """At most `max_restarts` within `max_seconds` (OTP's restart intensity)."""

    def __init__(self, max_restarts: int = MAX_RESTARTS, max_seconds: float = MAX_SECONDS) -> None:
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds
        self._times: deque[float] = deque()

    def allows(self, now: float) -> bool:
        """Count a restart at `now` (seconds, never decreasing); return False when it is one too many."""
        while self._times and now - self._times[0] > self.max_seconds:
            self._times.popleft()
        if len(self._times) >= self.max_restarts:
            return False
        self._times.append(now)
        return True
