"""Passes on the events for which an expression is true."""

from pydantic import Field
from typing_extensions import override

from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.functions import apply_to_events
from headrace.stages.options import ExpressionField, Options, StageType


class FilterOptions(Options):
    """Which events to pass on."""

    where: ExpressionField = Field(description="An expression; events for which it is true are passed on.")


class Filter(ProducerConsumer[object, object], StageType):
    """Passes on events in order, and discards others as `filtered`; an event for which `where` raises fails alone."""

    Options = FilterOptions
    per_event = True
    known_discards = ("filtered",)

    def __init__(self, options: FilterOptions) -> None:
        self._where = options.where

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        try:
            passed = self._where.select(events)
        except Exception:  # noqa: BLE001 - the events are read one by one then, and only those that raise again fail
            return [event for made in self.handle_each(events) for event in made]
        refused = len(events) - len(passed)
        if refused:
            self.discard(refused, "filtered")
        return passed

    @override
    def handle_each(self, events: list[object]) -> list[tuple[object, ...]]:
        failed: set[int] = set()

        def fail(position: int, error: BaseException) -> None:
            failed.add(position)
            self.fail_at(position, error)

        try:
            wanted = list(map(bool, self._where.column(events)))
        except Exception:  # noqa: BLE001 - the events are read one by one then, and only those that raise again fail
            wanted = apply_to_events(lambda event: bool(self._where(event)), events, fail)
        rest = iter(wanted)
        passed: list[tuple[object, ...]] = [
            (event,) if at not in failed and next(rest) else () for at, event in enumerate(events)
        ]
        self.discard(passed.count(()) - len(failed), "filtered")
        return passed
