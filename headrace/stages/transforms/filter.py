"""Passes on the events for which an expression holds."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.application import apply_each
from headrace.stages.options import ExpressionField


class FilterOptions(BaseModel):
    """Which events pass."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: ExpressionField = Field(description="An expression; the events for which it is true pass.")


class Filter(ProducerConsumer[object, object]):
    """Passes on events in their order; the others are discarded as `filtered`, and those that do not fit fail alone."""

    Options: ClassVar[type[BaseModel]] = FilterOptions
    per_event: ClassVar[bool] = True
    known_discards: ClassVar[tuple[str, ...]] = ("filtered",)

    def __init__(self, options: FilterOptions) -> None:
        self._where = options.where

    def handle_events(self, events: list[object]) -> list[object]:
        """Return those that pass."""
        try:
            passed = self._where.select(events)
        except Exception:  # noqa: BLE001 - one at a time, each event that fails is told
            return self._one_by_one(events)
        refused = len(events) - len(passed)
        if refused:
            self.discard(refused, "filtered")
        return passed

    def _one_by_one(self, events: list[object]) -> list[object]:
        judged = apply_each(lambda event: (event, bool(self._where(event))), events, self.fail)
        passed = [event for event, is_wanted in judged if is_wanted]
        self.discard(len(judged) - len(passed), "filtered")
        return passed
