"""Generates events: whole numbers from 0, or a template filled with them."""

import asyncio
from collections.abc import Sequence
from typing import Final

from pydantic import Field
from typing_extensions import override

from headrace.expressions import Expression
from headrace.pipeline.stage.producer import Producer
from headrace.stages.functions import evaluate_events
from headrace.stages.options import CountField, Options, RateField, StageType, TemplateField
from headrace.units import TokenBucket

TICK_SECONDS: Final = 0.001
"""The resolution of timers; at higher rates several events are emitted at a tick."""


class GenerateOptions(Options):
    """How many events to generate, and how fast; without `count` the stage never ends."""

    count: CountField | None = Field(default=None, ge=0, description="How many events, then the stage completes.")
    rate: RateField | None = Field(
        default=None, description="Events per time, as in 100/s. Without: as fast as demand."
    )
    template: TemplateField | None = Field(
        default=None, description="The template of an event; `event.n` counts from 0. Without: the number itself."
    )


class Generate(Producer[object], StageType):
    """Emits as many events as there is demand for, at most at `rate`.

    An event whose template fails is discarded, and the next number replaces it.
    """

    Options = GenerateOptions

    def __init__(self, options: GenerateOptions) -> None:
        self._template = options.template
        self._rate = options.rate
        self._end = float("inf") if options.count is None else options.count
        self._next = 0
        self._owed = 0
        self._bucket: TokenBucket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop

    @override
    def init(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._rate is not None:
            self._bucket = TokenBucket(self._rate, self._loop.time())

    @override
    def handle_demand(self, demand: int) -> list[object]:
        self._owed += demand
        return self._make()

    @override
    def handle_room(self) -> None:
        if self._owed and self._next < self._end:
            self._make_up()

    @override
    def handle_drain(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @override
    def terminate(self, reason: object) -> None:
        self.handle_drain()

    def _make(self) -> list[object]:
        wanted = self._owed
        if self._bucket is not None:
            wanted = self._bucket.take(wanted, self._loop.time())
        numbers = range(self._next, int(min(self._next + wanted, self._end)))
        self._next = numbers.stop
        events = list[object](numbers) if self._template is None else self._from_template(self._template, numbers)
        self._owed -= len(events)
        if self._next >= self._end:
            self.complete()
        elif self._owed:
            self._make_later()
        return events

    def _make_later(self) -> None:
        wait_seconds = 0.0 if self._bucket is None else self._bucket.wait_seconds()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(wait_seconds, TICK_SECONDS), self._make_up)

    def _make_up(self) -> None:
        if self.is_paused:
            return
        events = self._make()
        if events:
            self.emit_nowait(events)

    def _from_template(self, template: Expression, numbers: Sequence[int]) -> list[object]:
        return evaluate_events(template, [{"n": number} for number in numbers], self.fail_at)
