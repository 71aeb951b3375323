"""Emits an event at intervals, or at the times of a crontab line."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import override

from headrace.clock import utc_now
from headrace.jobs.errors import BadCron
from headrace.jobs.rules.cron import ANY_ZONE, Cron
from headrace.pipeline.stage.producer import Producer
from headrace.stages.options import DurationField, Options, StageType, refused

CHECK_SECONDS: Final = 30.0
"""The longest time between two checks of the clock, which may be set."""

_TICK: Final = "tick"


def _cron(value: str) -> str:
    try:
        Cron(value)
    except BadCron as error:
        failure = refused("bad_value", str(error))
    else:
        return value
    raise failure


class TickOptions(Options):
    """When to emit: `every` or `cron`."""

    exactly_one = ("a tick", "every", "cron")

    every: Annotated[DurationField, Field(gt=0)] | None = Field(
        default=None, description="The interval, as in 10s; the first event comes after one interval."
    )
    cron: Annotated[str, AfterValidator(_cron)] | None = Field(
        default=None, description='Five fields, or a nickname such as "@daily".'
    )
    timezone: str = Field(default=ANY_ZONE, description="Of `cron`, as in Europe/Berlin.")

    @model_validator(mode="after")
    def _timezone_fits(self) -> "TickOptions":
        if self.cron is None and "timezone" in self.model_fields_set:
            raise refused("bad_value", "it is for `cron`", path=["timezone"])
        if self.cron is not None:
            try:
                Cron(self.cron, self.timezone)
            except BadCron as error:
                failure = refused("bad_value", str(error), path=["timezone"])
            else:
                return self
            raise failure
        return self


class Tick(Producer[object], StageType):
    """Emits `{at, n}`: the time when the event was due, as text in UTC, and its number, from 0.

    Missed times are skipped: while the loop was held, the machine slept, or the buffer was full with
    `when_full: block`. The stage ends when the run drains.
    """

    Options = TickOptions

    def __init__(self, options: TickOptions, now: Callable[[], datetime] = utc_now) -> None:
        """`now` returns the time, aware UTC."""
        self._every = options.every
        self._cron = None if options.cron is None else Cron(options.cron, options.timezone)
        self._now = now
        self._count = 0
        self._due = 0.0
        self._due_at: datetime | None = None
        self._is_waiting = False

    @override
    def init(self) -> None:
        self._due = self._clock() + (self._every or 0.0)
        self._due_at = None if self._cron is None else self._cron.next_after(self._now())
        self._wait()

    @override
    def handle_demand(self, demand: int) -> list[object]:
        return []

    @override
    def handle_room(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._wait()

    @override
    def handle_info(self, message: object) -> list[object]:
        self._is_waiting = self.is_full()
        if self._is_waiting:
            return []
        made = self._of_calendar() if self._cron is not None else self._of_clock()
        self._wait()
        return made

    def _of_clock(self) -> list[object]:
        now, every = self._clock(), self._every or 1.0
        if now < self._due:
            return []
        self._due += every * (1 + (now - self._due) // every)
        return [self._event(self._now())]

    def _of_calendar(self) -> list[object]:
        now, due = self._now(), self._due_at
        if due is None or self._cron is None or now < due:
            return []
        self._due_at = self._cron.next_after(now)
        return [self._event(due)]

    def _event(self, at: datetime) -> object:
        self._count += 1
        return {"at": at.isoformat(), "n": self._count - 1}

    def _wait(self) -> None:
        if self._cron is None:
            seconds = self._due - self._clock()
        elif self._due_at is None:
            return
        else:
            seconds = (self._due_at - self._now()).total_seconds()
        self.send_after(min(max(seconds, 0.001), CHECK_SECONDS), _TICK)

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()
