"""Passes on a part of the events: at random, by key, or every nth."""

import random
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field, model_validator
from typing_extensions import override

from headrace.pipeline.dispatchers.partition import stable_hash
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.functions import apply_each
from headrace.stages.options import CountField, ExpressionField, Options, PartField, StageType, refused
from headrace.values import ordered

_STEPS: Final = 1 << 32


class SampleOptions(Options):
    """The part that is passed on: `fraction` or `every`."""

    exactly_one = ("a sample", "fraction", "every")

    fraction: PartField | None = Field(default=None, description="The part that is passed on, as in 0.1.")
    every: Annotated[CountField, Field(ge=1)] | None = Field(
        default=None, description="Every nth event, beginning with the first, as in 10."
    )
    key: ExpressionField | None = Field(
        default=None, description="With `fraction`: events of one key are all passed on, or none, in every run."
    )

    @model_validator(mode="after")
    def _key_fits(self) -> "SampleOptions":
        if self.key is not None and self.fraction is None:
            raise refused("bad_value", "it is for `fraction`", path=["key"])
        return self


class Sample(ProducerConsumer[object, object], StageType):
    """Passes on events in order, and discards others as `sampled`; an event without a valid key fails alone."""

    Options = SampleOptions
    per_event = True
    known_discards = ("sampled",)

    def __init__(self, options: SampleOptions, chance: random.Random | None = None) -> None:
        self._options = options
        self._chance = (chance or random.Random()).random  # noqa: S311 - no secret depends on it
        self._count = 0

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        return [event for made in self.handle_each(events) for event in made]

    @override
    def handle_each(self, events: list[object]) -> list[Sequence[object]]:
        made, failed = apply_each(self._passed, events, self.fail_at)
        self.discard(made.count(()) - failed, "sampled")
        return made

    def _passed(self, event: object) -> Sequence[object]:
        options = self._options
        if options.fraction is None:
            self._count += 1
            is_passed = (self._count - 1) % (options.every or 1) == 0
        elif options.key is None:
            is_passed = self._chance() < options.fraction
        else:
            is_passed = stable_hash(repr(ordered(options.key(event)))) % _STEPS < options.fraction * _STEPS
        return (event,) if is_passed else ()
