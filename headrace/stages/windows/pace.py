"""What moves time on where no event does: the clock always, or the clock once no event has come for a while."""

from collections.abc import Callable
from typing import Protocol

from headrace.stages.windows.moments import SECOND
from headrace.stages.windows.steady_clock import SteadyClock
from headrace.stages.windows.windows import NEVER, Windows


class Pace(Protocol):
    """Raises the watermark of windows, and says when to look again."""

    def moment(self) -> int:
        """Return the time of events that say none."""

    def begin(self, windows: Windows) -> None:
        """Prepare for events that have come."""

    def taken(self, windows: Windows) -> None:
        """Take note that events were taken in."""

    def tick(self, windows: Windows, *, is_blocked: bool) -> None:
        """Raise the watermark as far as time has gone on; `is_blocked` says that no event could be taken in now."""

    def wait_seconds(self, windows: Windows) -> float | None:
        """Return how long the next window stays open at least if no event comes; None if for ever."""


class ArrivalPace:
    """The time of an event is when it comes, and the watermark is the clock."""

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock

    def moment(self) -> int:
        """Return the time by the clock."""
        return self._clock.now()

    def begin(self, windows: Windows) -> None:
        """Raise the watermark to now: what has ended takes nothing more."""
        windows.advance(self._clock.now())

    def taken(self, windows: Windows) -> None:
        """Do nothing."""

    def tick(self, windows: Windows, *, is_blocked: bool) -> None:
        """Raise the watermark to now."""
        windows.advance(self._clock.now())

    def wait_seconds(self, windows: Windows) -> float | None:
        """Return how long it is until the next end."""
        end = windows.next_end()
        return None if end == NEVER else (end - self._clock.now()) / SECOND


class EventPace:
    """Events say the time; once none has come for `idle_seconds`, all that has passed since the last one counts."""

    def __init__(self, passed: Callable[[], float], idle_seconds: float | None) -> None:
        """`passed` tells seconds of a clock that never goes back."""
        self._passed = passed
        self._idle_seconds = idle_seconds
        self._at = passed()
        self._watermark = 0

    def moment(self) -> int:
        """Return 0: each event says its own."""
        return 0

    def begin(self, windows: Windows) -> None:
        """Do nothing: events say how late it is."""

    def taken(self, windows: Windows) -> None:
        """Begin to wait anew."""
        self._at = self._passed()
        self._watermark = windows.watermark

    def tick(self, windows: Windows, *, is_blocked: bool) -> None:
        """Raise the watermark once the silence is long enough, and is the source's own."""
        if is_blocked:
            self.taken(windows)
        silence = self._passed() - self._at
        if self._idle_seconds is not None and silence >= self._idle_seconds:
            windows.advance(self._watermark + int(silence * SECOND))

    def wait_seconds(self, windows: Windows) -> float | None:
        """Return how long it is until the silence is long enough, and the next end reached."""
        end = windows.next_end()
        if self._idle_seconds is None or end == NEVER:
            return None
        wanted = max(self._idle_seconds, (end - self._watermark) / SECOND)
        return wanted - (self._passed() - self._at)
