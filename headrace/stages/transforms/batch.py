"""Collects events into lists, bounded by number, size and time, by key."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from headrace.otp.gen_server import Timer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.errors import BadEvent
from headrace.stages.functions import data_of, gathered, hashable
from headrace.stages.options import CountField, DurationField, ExpressionField, Options, SizeField, StageType, refused
from headrace.telemetry.counts import Family, FamilySpec
from headrace.values import to_json, value_of

Trigger = Literal["count", "bytes", "period", "keys", "end"]
"""The bound that a batch reached; `keys` is the bound of open batches, which flushes the oldest."""

FLUSHED: Final = FamilySpec("counter", "headrace_batches_flushed_total", "Batches, by what flushed them.", ("trigger",))
RETAINED: Final = FamilySpec("gauge", "headrace_batch_held_events", "Events in batches that are not full yet.")

_ALL: Final = None


class BatchOptions(Options):
    """When a batch is full; at least one bound."""

    max_events: Annotated[CountField, Field(ge=1)] | None = Field(default=None, description="The number of its events.")
    max_bytes: Annotated[SizeField, Field(ge=1)] | None = Field(
        default=None, description="Its largest size as JSON; a larger event fails."
    )
    period: Annotated[DurationField, Field(gt=0)] | None = Field(
        default=None, description="The longest wait of its first event, as in 5s."
    )
    key: ExpressionField | None = Field(
        default=None, description="One batch for each value of this expression, emitted as {key, events}."
    )
    max_keys: Annotated[CountField, Field(ge=1)] = Field(
        default=1000, description="The most open batches; beyond, the oldest is flushed."
    )

    @model_validator(mode="after")
    def _has_a_bound(self) -> "BatchOptions":
        if self.max_events is None and self.max_bytes is None:
            raise refused("bad_value", "a batch needs `max_events` or `max_bytes`, so that it ends")
        return self


@dataclass(slots=True, eq=False)
class _Open:
    """An open batch."""

    key: Hashable
    events: list[object] = field(default_factory=list)
    size_bytes: int = 1
    """The size of the batch as one line of JSON: a bracket, and each event with the comma or bracket after it."""
    timer: Timer | None = None


class Batch(ProducerConsumer[object, object], StageType):
    """Emits lists of events in order of arrival; with a key, mappings with `key` and `events`.

    Open batches are emitted at the end. An event whose key or size cannot be computed fails alone.
    """

    Options = BatchOptions
    takes_messages = True

    def __init__(self, options: BatchOptions) -> None:
        self._options = options
        self.max_retained = _most_retained(options)
        self._open: dict[Hashable, _Open] = {}
        self._flushed: Family
        self._retained: Family

    @override
    def init(self) -> None:
        self._flushed, self._retained = self.metrics.declare(FLUSHED), self.metrics.declare(RETAINED)

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        self.retain(events)
        if self._options.key is None and self._options.max_bytes is None and self._options.max_events is not None:
            made = self._counted(events, self._options.max_events)
        else:
            made = [batch for event in events for batch in self._taken(event)]
        self._measure()
        return made

    @override
    def handle_info(self, message: object) -> list[object]:
        made = [self._flush(message, "period")] if isinstance(message, _Open) and message.events else []
        self._measure()
        return made

    @override
    def handle_complete(self) -> list[object]:
        made = [self._flush(one, "end") for one in list(self._open.values()) if one.events]
        self._measure()
        return made

    def _counted(self, events: list[object], most: int) -> list[object]:
        """Make batches by number only, for many events at a time."""
        made: list[object] = []
        at = 0
        while at < len(events):
            one = self._of(_ALL)
            piece = events[at : at + most - len(one.events)]
            at += len(piece)
            one.events += piece
            if len(one.events) == most:
                made.append(self._flush(one, "count"))
            else:
                self._start_timer(one)
        return made

    def _taken(self, event: object) -> list[object]:
        """Add one event; return the batches that it fills."""
        options, made = self._options, list[object]()
        try:
            key = _ALL if options.key is None else hashable(options.key(data_of(event)))
            size = 0 if options.max_bytes is None else _size(data_of(event), options.max_bytes)
        except Exception as error:  # noqa: BLE001 - it fails this event alone
            self.release([event])
            self.fail_event(event, error)
            return []
        one = self._of(key)
        if options.max_bytes is not None and one.events and one.size_bytes + size > options.max_bytes:
            made.append(self._flush(one, "bytes"))
            one = self._of(key)
        if len(self._open) > options.max_keys:
            made.append(self._flush(next(iter(self._open.values())), "keys"))
        one.events.append(event)
        one.size_bytes += size
        if len(one.events) == options.max_events or one.size_bytes == options.max_bytes:
            made.append(self._flush(one, "count" if len(one.events) == options.max_events else "bytes"))
        else:
            self._start_timer(one)
        return made

    def _of(self, key: Hashable) -> _Open:
        one = self._open.get(key)
        if one is None:
            one = self._open[key] = _Open(key)
        return one

    def _start_timer(self, one: _Open) -> None:
        if one.timer is None and self._options.period is not None:
            one.timer = self.send_after(self._options.period, one)

    def _flush(self, one: _Open, trigger: Trigger) -> object:
        del self._open[one.key]
        if one.timer is not None:
            one.timer.cancel()
        events, one.events = one.events, []
        self._flushed.add((trigger,))
        self.release(events)
        data: object = list(map(data_of, events))
        return gathered(events, data if self._options.key is None else {"key": value_of(one.key), "events": data})

    def _measure(self) -> None:
        self._retained.set((), sum(len(one.events) for one in self._open.values()))


def _most_retained(options: BatchOptions) -> int:
    """Return the most events in open batches, if no period flushes them; an event takes at least 2 bytes."""
    if options.period is not None:
        return 0
    bounds = [options.max_events, None if options.max_bytes is None else options.max_bytes // 2]
    most = min(bound for bound in bounds if bound is not None)
    return most if options.key is None else most * options.max_keys


def _size(event: object, most: int) -> int:
    size = len(to_json(event).encode()) + 1
    if size + 1 > most:
        why = f"a batch of the event alone takes {size + 1} bytes as JSON, and it has {most} at most"
        raise BadEvent(why)
    return size
