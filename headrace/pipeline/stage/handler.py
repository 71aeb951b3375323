"""Calls `handle_events` on edges that carry messages.

Unwraps and wraps for per-event stages, and settles what was handled.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import cast

from headrace.pipeline.acknowledgement.acknowledgement import Outcome
from headrace.pipeline.acknowledgement.message import Message, as_messages, claim, settle
from headrace.pipeline.stage.counts import StageCounts
from headrace.pipeline.stage.outputs import as_list

Handler = Callable[[list[object]], object]
"""`handle_events` as the runtime calls it: a batch in; outputs, None, or an awaitable of either out."""


class MessageHandler:
    """Wraps the `handle_events` of one stage for messages. What it returns is claimed, and its inputs are settled.

    An exception settles nothing: the batch is then still in hand, and is delivered again.
    """

    def __init__(self, handle: Handler, counts: StageCounts, *, per_event: bool, emits: bool) -> None:
        self._handle = handle
        self._counts = counts
        self._per_event = per_event
        self._emits = emits

    def __call__(self, messages: list[object]) -> object:
        """Handle a batch; return the outputs (None for a consumer), or an awaitable of them."""
        messages = as_messages(messages)
        if self._per_event:
            return self._each(cast("list[Message[object]]", messages))
        returned = self._handle(list(messages))
        if inspect.isawaitable(returned):
            return self._later(messages, returned)
        return self._whole(messages, returned)

    async def _later(self, messages: list[object], returned: Awaitable[object]) -> object:
        return self._whole(messages, await returned)

    def _whole(self, messages: list[object], returned: object) -> object:
        outputs = as_messages(self._outputs(returned))
        claim(outputs)
        settle(messages, Outcome.DONE)
        return outputs if self._emits else None

    def _each(self, messages: list[Message[object]]) -> object:
        outputs: list[object] = []
        outcomes: list[Outcome] = []
        for position, message in enumerate(messages):
            failed = self._counts.failed
            returned = self._handle([message.data])
            if inspect.isawaitable(returned):
                return self._each_later(messages[position:], returned, outputs, messages[:position], outcomes)
            outputs += [message.derive(output) for output in self._outputs(returned)]
            outcomes.append(Outcome.FAILED if self._counts.failed > failed else Outcome.DONE)
        return self._end(messages, outputs, outcomes)

    async def _each_later(
        self,
        rest: list[Message[object]],
        first: Awaitable[object],
        outputs: list[object],
        handled: list[Message[object]],
        outcomes: list[Outcome],
    ) -> object:
        for position, message in enumerate(rest):
            failed = self._counts.failed
            returned = first if position == 0 else self._handle([message.data])
            result = await returned if inspect.isawaitable(returned) else returned
            outputs += [message.derive(output) for output in self._outputs(result)]
            outcomes.append(Outcome.FAILED if self._counts.failed > failed else Outcome.DONE)
        return self._end([*handled, *rest], outputs, outcomes)

    def _end(self, messages: list[Message[object]], outputs: list[object], outcomes: list[Outcome]) -> object:
        claim(outputs)
        for message, outcome in zip(messages, outcomes, strict=True):
            message.acknowledgement.end(outcome)
        return outputs if self._emits else None

    def _outputs(self, returned: object) -> list[object]:
        if not self._emits:
            return []
        return as_list(self._counts.stage, "handle_events", returned)
