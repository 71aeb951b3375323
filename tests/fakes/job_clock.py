"""A clock for jobs that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class MovedClock:
    """Called, it says what time it is; it never goes on by itself."""

    def __init__(self, now: datetime = NOON) -> None:
        self.time = now

    def __call__(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        """Go on by `seconds`, or back when they are below 0."""
        self.time += timedelta(seconds=seconds)
