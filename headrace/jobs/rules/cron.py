"""When jobs of a crontab are due (pure): cron expressions in time zones, daylight saving included.

All times are aware, and all returned times are UTC. The rules for daylight saving are Debian's: an entry with a set
time runs once in the autumn night, in the first of the two hours, and in the spring night at the end of the gap; an
entry whose minutes or hours begin with a star keeps its interval in real time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from typing_extensions import override

from headrace.jobs.errors import BadCron

NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""Cron's nicknames for five fields; `@reboot`, which has no times, is apart."""

REBOOT: Final = "@reboot"

ANY_ZONE: Final = "Etc/UTC"
"""The time zone of an expression without one (Oban's)."""

_LONGEST: Final = 400  # characters; far more than a user can read
_ALLOWED: Final = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L for the last day, or LW for the last weekday",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 (0 and 7 are Sunday), SUN-SAT, 1#2 for the second Monday, or 5L for the last Friday",
}
_FIELDS: Final = tuple(_ALLOWED)
_SOME_DAY: Final = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST_WINDOW: Final = timedelta(hours=1)
_WIDER: Final = 4


class Cron:
    """The times of a cron entry: five fields or a nickname, read in a time zone."""

    __slots__ = ("_fields", "_zone", "expression", "timezone")

    def __init__(self, expression: str, timezone: str = ANY_ZONE) -> None:
        """Raises `BadCron` for a bad expression, for a time that never comes, and for an unknown zone."""
        self.expression = expression
        self.timezone = timezone
        self._zone = _zone(expression, timezone)
        self._fields = _checked(expression)

    @override
    def __repr__(self) -> str:
        return f"Cron({self.expression!r}, {self.timezone!r})"

    @property
    def is_reboot(self) -> bool:
        """Whether the entry is due only at the start."""
        return self._fields == REBOOT

    def next_after(self, time: datetime) -> datetime | None:
        """Return the first time after `time` at which the entry is due; None for `@reboot`.

        >>> Cron("30 7 * * mon-fri", "Europe/Berlin").next_after(datetime(2026, 11, 27, 12, tzinfo=UTC))
        datetime.datetime(2026, 11, 30, 6, 30, tzinfo=datetime.timezone.utc)
        """
        return next(self._after(time), None)

    def all_between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the entry's times later than `after` and not later than `until`, oldest first."""
        for time in self._after(after):
            if time > until:
                return
            yield time

    def latest_between(self, after: datetime, until: datetime, count: int) -> list[datetime]:
        """Return the last `count` of these times, oldest first, without computing all times before them."""
        window = _FIRST_WINDOW
        while until - after > window:
            times = list(self.all_between(until - window, until))
            if len(times) >= count:
                return times[-count:]
            window *= _WIDER
        return list(self.all_between(after, until))[-count:]

    def _after(self, time: datetime) -> Iterator[datetime]:
        """Yield its times after `time`; in the second of two equal hours the times of the first are past."""
        if self.is_reboot:
            return
        for found in CronSim(self._fields, time.astimezone(self._zone)):
            due = found.astimezone(UTC)
            if due > time:
                yield due


def _zone(expression: str, timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        why = (
            f"is in the time zone {timezone!r}, which this machine does not know: write a name such as Europe/Berlin, "
            "or install the package tzdata"
        )
        raise BadCron(expression, why) from None


def _checked(expression: str) -> str:
    """Return the five fields, or `@reboot`."""
    text = expression.strip()
    if text.startswith("@"):
        if text.lower() == REBOOT:
            return REBOOT
        if text.lower() not in NICKNAMES:
            raise BadCron(expression, f"is no nickname: write one of {', '.join((*NICKNAMES, REBOOT))}")
        return NICKNAMES[text.lower()]
    fields = text.split()
    if len(fields) != len(_FIELDS) or len(text) > _LONGEST:
        raise BadCron(
            expression, f"has {len(fields)} fields: write five, {' '.join(_FIELDS)}, as in '30 7 * * MON-FRI'"
        )
    for name, allowed in _ALLOWED.items():
        _check_field(expression, fields, name, allowed)
    try:
        next(CronSim(text, _SOME_DAY))
    except (CronSimError, StopIteration):
        raise BadCron(expression, "never comes: no such month has such a day") from None
    return text


def _check_field(expression: str, fields: list[str], name: str, allowed: str) -> None:
    """Raise BadCron for a bad field; each is parsed alone, so that the error can name it."""
    found = fields[_FIELDS.index(name)]
    alone = ["*"] * len(_FIELDS)
    alone[_FIELDS.index(name)] = found
    try:
        CronSim(" ".join(alone), _SOME_DAY)
    except (CronSimError, AssertionError, ValueError, TypeError):
        why = f"has the {name} {found!r}: write {allowed}, or lists (1,3), ranges (1-5) and steps (*/5) of those"
        raise BadCron(expression, why) from None
