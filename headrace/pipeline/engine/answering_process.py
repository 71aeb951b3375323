"""The process around a producer-consumer with a `handle_demand` of its own: it may answer before it takes."""

import inspect
from collections.abc import Callable
from functools import partial

from typing_extensions import override

from headrace.otp.scheduler import HANDLED_MORE, IDLE, Scheduler
from headrace.pipeline.engine.producer_consumer_process import ProducerConsumerProcess
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.stage.producer_consumer import ProducerConsumer


class AnsweringProcess(ProducerConsumerProcess):
    """Reports new demand to `handle_demand`; events from upstream meet the rest.

    `_reported` is the reported demand: events sent and unmet demand together.
    """

    __slots__ = ("_handle_demand", "_reported")

    def __init__(
        self,
        name: str,
        factory: Callable[[], ProducerConsumer[object, object]],
        scheduler: Scheduler,
        counts: StageCounts,
        stage_output: StageOutput,
    ) -> None:
        super().__init__(name, factory, scheduler, counts, stage_output)
        self._reported = 0
        self._handle_demand: Callable[[int], object] = lambda _: []

    @override
    def bound(self, callbacks: ProducerConsumer[object, object]) -> None:
        super().bound(callbacks)
        self._handle_demand = callbacks.handle_demand
        self._reported = self.output.sent()

    @override
    def turn(self) -> int:
        if not self.has_control:
            unmet = self.output.collect()
            asked = self.output.sent() + unmet
            demand = min(asked - self._reported, unmet)
            if demand > 0:
                self._reported = asked
                return self._answer(demand)
        return super().turn()

    def _answer(self, demand: int) -> int:
        returned = self._handle_demand(demand)
        if not inspect.isawaitable(returned):
            self.take_returned("handle_demand", returned)
            return HANDLED_MORE
        self.drive(returned, partial(self._answered_later, self.scheduler.clock()))
        return IDLE

    def _answered_later(self, since: float, returned: object) -> None:
        self.turns.handled(self.scheduler.clock() - since)
        self.take_returned("handle_demand", returned)
