"""Handles batches as a whole, where messages flow or failures are mended."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from typing_extensions import override

from headrace.errors import CannotRetain
from headrace.pipeline.engine.handler import EventHandler, HandlingStage, ReportingHandler
from headrace.pipeline.failure import FailurePolicy
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import (
    NO_METADATA,
    Acknowledgement,
    Message,
    Outcome,
    acknowledge,
    add_pending,
    as_messages,
)
from headrace.pipeline.stage.stage import as_list, check_nothing


class BatchHandler(ReportingHandler):
    """Hands over a whole batch, its messages or their data; a retry is a smaller batch.

    It does not know from which data an output comes: each output keeps all messages of its batch waiting.
    """

    def __init__(
        self, stage: HandlingStage, counts: StageCounts, failure: FailurePolicy, *, is_acknowledged: bool, emits: bool
    ) -> None:
        super().__init__(counts, failure, is_acknowledged=is_acknowledged, emits=emits)
        self._handle: EventHandler = stage.handle_events
        self._is_unwrapping = is_acknowledged and not stage.takes_messages
        self._outputs: list[object] = []
        self._waiting: Acknowledgement | None = None
        """Waits for all outputs of the data of the current batch."""
        self._parents: list[object] = []

    @override
    def begin(self) -> None:
        self._outputs = []
        if self._is_unwrapping and self._emits:
            self._parents = []
            self._waiting = Acknowledgement(partial(acknowledge, self._parents))

    @override
    def call(self, positions: Sequence[int]) -> object:
        events = [self.events[position] for position in positions]
        if self._is_unwrapping:
            return self._handle([message.data for message in cast("list[Message[object]]", events)])
        return self._handle(events)

    @override
    def take(self, positions: Sequence[int], returned: object) -> None:
        if self._emits:
            self._outputs += as_list(self._counts.stage, "handle_events", returned)
        else:
            check_nothing(self._counts.stage, returned)

    @override
    def owned(self, events: Sequence[object]) -> Sequence[object]:
        waiting = self._waiting
        if waiting is None:
            return events
        metadata = self._message(0).metadata if len(self.events) == 1 else NO_METADATA
        return [event if isinstance(event, Message) else Message(event, metadata, waiting) for event in events]

    def _message(self, position: int) -> Message[object]:
        return cast("Message[object]", self.events[position])

    @override
    def retain(self, events: Sequence[object]) -> None:
        if self._is_unwrapping:
            raise CannotRetain(self._counts.stage, has_data_alone=True)
        super().retain(events)

    @override
    def finish(self, outcomes: Mapping[int, Outcome]) -> list[object]:
        outputs, self._outputs = self._outputs, []
        if not self._is_acknowledged:
            return outputs
        outputs = as_messages(list(self.owned(outputs)))
        add_pending(outputs)
        waiting, self._waiting = self._waiting, None
        for position in range(len(self.events)):
            message, outcome = self._message(position), outcomes.get(position, Outcome.DONE)
            if waiting is not None and outcome is Outcome.DONE:
                self._parents.append(message)
            else:
                message.acknowledgement.end(outcome)
        if waiting is not None:
            waiting.end(Outcome.DONE)
        return outputs
