"""A clock for windows: it never goes back, and never stands still while the wall clock is put back."""

from collections.abc import Callable

from headrace.stages.windows.moments import SECOND


class SteadyClock:
    """Follows the wall clock forward; when that falls behind, goes on by the time that passes.

    Where the wall clock was put forward, and back again, it stays ahead.
    """

    def __init__(self, wall: Callable[[], float], passed: Callable[[], float]) -> None:
        """`wall` tells seconds since 1970, `passed` seconds of a clock that never goes back."""
        self._wall = wall
        self._passed = passed
        self._at = passed()
        self._now = wall()

    def now(self) -> int:
        """Return the microseconds since 1970."""
        at = self._passed()
        self._now = max(self._now + at - self._at, self._wall())
        self._at = at
        return int(self._now * SECOND)
