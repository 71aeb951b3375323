"""Handles events on their own, where messages flow or failures are retried: outputs are known per event."""

import inspect
from collections.abc import Awaitable, Mapping, Sequence
from operator import attrgetter
from typing import ClassVar, Final, cast

from typing_extensions import override

from headrace.errors import BadReturn
from headrace.pipeline.engine.handler import (
    EventHandler,
    HandlingStage,
    PendingResult,
    ReportingHandler,
    own_handle_each,
)
from headrace.pipeline.failure import FailurePolicy
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Message, Outcome
from headrace.pipeline.stage.stage import as_list, check_nothing

_DATA: Final = attrgetter("data")

Outputs = list[Sequence[object]]
"""The outputs of each event, in the order of the events."""


class EachHandler(ReportingHandler):
    """Hands over the data of a whole batch where the stage returns outputs per event, else one at a time."""

    is_timed_whole: ClassVar[bool] = False

    def __init__(
        self, stage: HandlingStage, counts: StageCounts, failure: FailurePolicy, *, is_acknowledged: bool, emits: bool
    ) -> None:
        super().__init__(counts, failure, is_acknowledged=is_acknowledged, emits=emits)
        self._handle: EventHandler = stage.handle_events
        self._handle_each = own_handle_each(stage)
        self._one_to_one = stage.one_to_one
        is_single = failure.timeout_seconds is not None or not (self._one_to_one or self._handle_each)
        self._call = self._singly if is_single else self._whole
        self._data: list[object] = []
        self._results: Outputs = []
        self._flat: list[object] | None = None
        self._handed: Sequence[int] = ()
        self._at = 0

    @override
    def begin(self) -> None:
        events = self.events
        self._data = list(map(_DATA, events)) if self._is_acknowledged else events
        self._results = []
        self._flat = None

    @override
    def call(self, positions: Sequence[int]) -> object:
        self._handed = positions
        self._at = 0
        whole = len(positions) == len(self._data)
        return self._call(list(self._data) if whole else [self._data[position] for position in positions])

    @override
    def take(self, positions: Sequence[int], returned: object) -> None:
        if self._flat is not None:
            return
        outputs = cast("Outputs", returned)
        if len(positions) == len(self._data):
            self._results = outputs
        else:
            self._results = self._results or [()] * len(self._data)
            for position, made in zip(positions, outputs, strict=True):
                self._results[position] = made

    @override
    def finish(self, outcomes: Mapping[int, Outcome]) -> list[object]:
        if self._flat is not None:
            return self._passed_on(self._flat)
        results = self._results or [()] * len(self.events)
        if not self._is_acknowledged:
            return [output for made in results for output in made]
        outputs: list[object] = []
        ended: list[tuple[Message[object], Outcome]] = []
        for position, (event, made) in enumerate(zip(cast("list[Message[object]]", self.events), results, strict=True)):
            acknowledgement = event.acknowledgement
            outputs += [Message(output, event.metadata, acknowledgement) for output in made]
            outcome = outcomes.get(position, Outcome.DONE) if outcomes else Outcome.DONE
            if len(made) != 1 or outcome is not Outcome.DONE:  # else its place goes to the one that came of it
                if made:
                    acknowledgement.add(len(made))
                ended.append((event, outcome))
        for event, outcome in ended:
            event.acknowledgement.end(outcome)
        return outputs

    def _passed_on(self, outputs: list[object]) -> list[object]:
        """Return one output for each event, which takes its place; end all that come to a consumer."""
        if not self._is_acknowledged:
            return outputs
        messages = cast("list[Message[object]]", self.events)
        if self._emits:
            return [
                Message(output, message.metadata, message.acknowledgement)
                for output, message in zip(outputs, messages, strict=True)
            ]
        for message in messages:
            message.acknowledgement.end(Outcome.DONE)
        return []

    @override
    def failed_at(self, position: int, error: BaseException) -> None:
        self.failures.setdefault(self._handed[self._at + position], error)

    @override
    def failed_some(self, error: BaseException, count: int) -> None:
        if self._call == self._singly and count == 1:
            self.failed_at(0, error)
        else:
            super().failed_some(error, count)

    def _whole(self, data: list[object]) -> object:
        returned = self._handle(data) if self._handle_each is None else self._handle_each(data)
        if inspect.isawaitable(returned):
            return PendingResult(returned, self._whole_later(returned))
        return self._paired(returned)

    async def _whole_later(self, returned: Awaitable[object]) -> object:
        return self._paired(await returned)

    def _paired(self, returned: object) -> Outputs:
        """Return the outputs of each event that was handed over."""
        handed, failures = self._handed, self.failures
        if not self._emits:
            check_nothing(self._counts.stage, returned)
            if not failures and len(handed) == len(self._data):
                self._flat = []
            return [()] * len(handed)
        if self._handle_each is not None:
            outputs = as_list(self._counts.stage, "handle_each", returned)
            self._check(outputs, len(handed), "handle_each", "the outputs of each event, in a list for each")
            return cast("Outputs", outputs)
        outputs = as_list(self._counts.stage, "handle_events", returned)
        count = sum(position not in failures for position in handed) if failures else len(handed)
        self._check(outputs, count, "handle_events", "one output for each event that did not fail")
        if not failures and len(handed) == len(self._data):
            self._flat = outputs
            return []
        if not failures:
            return [(output,) for output in outputs]
        rest = iter(outputs)
        return [() if position in failures else (next(rest),) for position in handed]

    def _check(self, outputs: list[object], count: int, callback: str, allowed: str) -> None:
        if len(outputs) != count:
            raise BadReturn(self._counts.stage, callback, outputs, allowed)

    def _singly(self, data: list[object]) -> object:
        outputs: Outputs = []
        for at, event in enumerate(data):
            self._at = at
            try:
                returned = self._handle([event])
            except Exception as error:  # noqa: BLE001 - raised again, or told as what becomes of this event
                self._single_failed(error)
                outputs.append(())
                continue
            if inspect.isawaitable(returned):
                return PendingResult(returned, self._singly_later(data, outputs, returned))
            outputs.append(self._made(returned))
        return outputs

    async def _singly_later(self, data: list[object], outputs: Outputs, first: Awaitable[object]) -> Outputs:
        returned: object = first
        for at in range(self._at, len(data)):
            self._at = at
            try:
                if returned is None:
                    returned = self._handle([data[at]])
                result = await self.in_time(returned) if inspect.isawaitable(returned) else returned
            except Exception as error:  # noqa: BLE001 - raised again, or told as what becomes of this event
                self._single_failed(error)
                outputs.append(())
            else:
                outputs.append(self._made(result))
            returned = None
        return outputs

    def _single_failed(self, error: Exception) -> None:
        if self.is_crash(error):
            raise error
        self.failed_at(0, error)

    def _made(self, returned: object) -> Sequence[object]:
        if self._emits:
            return as_list(self._counts.stage, "handle_events", returned)
        check_nothing(self._counts.stage, returned)
        return ()
