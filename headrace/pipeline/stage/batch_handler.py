"""Handles batches as a whole, where messages flow or failures are mended."""

from collections.abc import Mapping, Sequence

from headrace.pipeline.acknowledgement.acknowledgement import Outcome
from headrace.pipeline.acknowledgement.message import Message, as_messages, claim
from headrace.pipeline.stage.counts import StageCounts
from headrace.pipeline.stage.failure import Failure
from headrace.pipeline.stage.handler import CarefulHandler, Handler
from headrace.pipeline.stage.outputs import as_list, check_nothing


class BatchHandler(CarefulHandler):
    """Hands over a whole batch, its messages as they are; what is tried again is a smaller batch."""

    def __init__(
        self, handle: Handler, counts: StageCounts, failure: Failure, *, is_acknowledged: bool, emits: bool
    ) -> None:
        super().__init__(counts, failure, is_acknowledged=is_acknowledged, emits=emits)
        self._handle = handle
        self._outputs: list[object] = []

    def begin(self) -> None:
        """Prepare for a batch."""
        self._outputs = []

    def call(self, positions: Sequence[int]) -> object:
        """Hand over the events at `positions`, in a list of their own."""
        return self._handle([self.events[position] for position in positions])

    def take(self, positions: Sequence[int], returned: object) -> None:
        """Keep the outputs."""
        if self._emits:
            self._outputs += as_list(self._counts.stage, "handle_events", returned)
        else:
            check_nothing(self._counts.stage, returned)

    def finish(self, outcomes: Mapping[int, Outcome]) -> list[object]:
        """Claim the outputs, and end the events."""
        outputs, self._outputs = self._outputs, []
        if self._is_acknowledged:
            outputs = as_messages(outputs)
            claim(outputs)
            for position, event in enumerate(self.events):
                if isinstance(event, Message):
                    event.acknowledgement.end(outcomes.get(position, Outcome.DONE))
        return outputs
