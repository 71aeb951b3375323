"""Discards duplicates."""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Annotated, Final

from pydantic import Field
from typing_extensions import override

from headrace.pipeline.message import AcknowledgementLike, Message, Outcome
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.functions import data_of, hashable
from headrace.stages.options import CountField, DurationField, ExpressionField, Options, StageType
from headrace.telemetry.counts import Family, FamilySpec


class SeenKeys:
    """Remembers at most `most` keys, each for `seconds` after it was first seen; None: without a time limit."""

    def __init__(self, most: int, seconds: float | None) -> None:
        self._most = most
        self._seconds = seconds
        self._at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._at)

    def is_new(self, key: Hashable, now: float) -> bool:
        """Tell whether a key is new, and remember it."""
        seconds = self._seconds
        while seconds is not None and self._at and now - next(iter(self._at.values())) >= seconds:
            self._at.popitem(last=False)
        if key in self._at:
            return False
        self._at[key] = now
        if len(self._at) > self._most:
            self._at.popitem(last=False)
        return True

    def forget(self, key: Hashable) -> None:
        """Forget a key."""
        self._at.pop(key, None)


KEYS: Final = FamilySpec("gauge", "headrace_dedupe_keys", "Keys that a dedupe stage remembers.")


class DedupeOptions(Options):
    """The key of duplicates, and how long it is remembered."""

    key: ExpressionField = Field(description="An expression; events with the same value are duplicates.")
    within: Annotated[DurationField, Field(gt=0)] | None = Field(
        default=None, description="How long a key is remembered after its first event, as in 10m."
    )
    max_keys: Annotated[CountField, Field(ge=1)] = Field(
        default=100_000, description="The most remembered keys; beyond, the oldest is forgotten."
    )


class _Watched:
    """Forgets the key of an event that fails in a later stage: its redelivery is then no duplicate."""

    __slots__ = ("_inner", "_key", "_seen")

    def __init__(self, inner: AcknowledgementLike, seen: SeenKeys, key: Hashable) -> None:
        self._inner = inner
        self._seen = seen
        self._key = key

    def add(self, count: int) -> None:
        """Add descendants to the inner acknowledgement."""
        self._inner.add(count)

    def end(self, outcome: Outcome) -> None:
        """End one descendant of the inner acknowledgement; forget the key of a failed event."""
        if outcome is Outcome.FAILED:
            self._seen.forget(self._key)
        self._inner.end(outcome)


class Dedupe(ProducerConsumer[object, object], StageType):
    """Discards duplicates as `duplicate`; an event whose key cannot be computed fails alone.

    The keys are in memory only, and a restart forgets them.
    """

    Options = DedupeOptions
    takes_messages = True
    known_discards = ("duplicate",)

    def __init__(self, options: DedupeOptions) -> None:
        self._key = options.key
        self._seen = SeenKeys(options.max_keys, options.within)
        self._keys: Family

    @override
    def init(self) -> None:
        self._keys = self.metrics.declare(KEYS)

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        now = asyncio.get_running_loop().time()
        passed: list[object] = []
        failed = 0
        for event in events:
            try:
                key = hashable(self._key(data_of(event)))
            except Exception as error:  # noqa: BLE001 - it fails this event alone
                self.fail_event(event, error)
                failed += 1
                continue
            if self._seen.is_new(key, now):
                passed.append(self._watched(event, key))
        self.discard(len(events) - len(passed) - failed, "duplicate")
        self._keys.set((), len(self._seen))
        return passed

    def _watched(self, event: object, key: Hashable) -> object:
        if not isinstance(event, Message):
            return event
        return Message(event.data, event.metadata, _Watched(event.acknowledgement, self._seen, key))
