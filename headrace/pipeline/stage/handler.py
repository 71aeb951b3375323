"""Calls `handle_events` on edges that carry messages: unwraps, wraps, and settles what was handled."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import cast

from headrace.pipeline.acknowledgement.acknowledgement import Outcome
from headrace.pipeline.acknowledgement.message import Message, as_messages, claim, settle
from headrace.pipeline.stage.counts import StageCounts
from headrace.pipeline.stage.outputs import as_list, check_nothing

Handler = Callable[[list[object]], object]
"""`handle_events` as the runtime calls it: a batch in; outputs, None, or an awaitable of either out."""


class Later(Coroutine[object, object, object]):
    """A coroutine that awaits a callback's own; closed before it began, it closes that one, too."""

    def __init__(self, awaited: Awaitable[object], work: Coroutine[object, object, object]) -> None:
        self._awaited = awaited
        self._work = work

    def __await__(self) -> Generator[object, object, object]:
        return self._work.__await__()

    def send(self, value: object) -> object:
        """Go on with `value`."""
        return self._work.send(value)

    def throw(self, *error: object) -> object:
        """Go on by raising `error`."""
        return self._work.throw(*error)  # type: ignore[call-overload] # it takes what the work itself takes

    def close(self) -> None:
        """Close both."""
        self._work.close()
        if isinstance(self._awaited, Coroutine):
            self._awaited.close()


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
            return Later(returned, self._later(messages, returned))
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
                rest = self._each_later(messages[position:], returned, outputs, messages[:position], outcomes)
                return Later(returned, rest)
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
            check_nothing(self._counts.stage, returned)
            return []
        return as_list(self._counts.stage, "handle_events", returned)
