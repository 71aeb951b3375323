"""The clock of a test: it stands still until the test moves it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from headrace.jobs.errors import BadJobsTest


class JobsClock:
    """Called, it says what time it is (aware UTC): when it was made, until it is moved.

    Jobs that are due by a move are available after it, as they would be within a second.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._now = datetime.now(UTC) if now is None else now
        self.moved: Callable[[], None] = lambda: None
        """Told of each move, when it has happened."""

    def __call__(self) -> datetime:
        """Return the time."""
        return self._now

    def move(self, seconds: float) -> None:
        """Go on by `seconds`, or back when they are below 0."""
        self.move_to(self._now + timedelta(seconds=seconds))

    def move_to(self, time: datetime) -> None:
        """Go to a time. Raises `BadJobsTest` for one that has no time zone."""
        if time.tzinfo is None:
            what = f"the clock cannot go to {time}, which has no time zone"
            raise BadJobsTest(what, "add one, as in datetime.now(UTC)")
        self._now = time.astimezone(UTC)
        self.moved()
