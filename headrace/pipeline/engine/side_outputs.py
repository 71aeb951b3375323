"""The side outputs of one stage that have a subscriber: each lets events in as far as it has room."""

from collections.abc import Sequence

from headrace.errors import NoProcess
from headrace.pipeline.engine.producer_process import ProducerProcess
from headrace.pipeline.message import Outcome, acknowledge, add_pending, as_messages


class SideOutputs:
    """Outputs by name; they outlive the restarts of their stage."""

    def __init__(self) -> None:
        self._outputs: dict[str, ProducerProcess] = {}
        self._emitted: list[object] = []

    def join(self, name: str, output: ProducerProcess) -> None:
        """Take in an output."""
        self._outputs[name] = output

    async def put(self, name: str, events: Sequence[object]) -> int:
        """Do what `emit_to_side_output` does by an output; return 0 where it has no subscriber."""
        output = self._outputs.get(name)
        if output is None:
            return 0
        emitted: list[object] = []
        try:
            return await emit_to_side_output(output, events, emitted)
        except BaseException:
            self._emitted += emitted
            raise

    def take_emitted(self) -> list[object]:
        """Return, once, the events that were emitted when `put` was cut off: their output counts them by now."""
        emitted, self._emitted = self._emitted, []
        return emitted


async def emit_to_side_output(
    output: ProducerProcess, events: Sequence[object], emitted: list[object] | None = None
) -> int:
    """Emit events by a side output as there is room; return how many it took, from the first: less where it has ended.

    Cancelled, the first of them may have gone in, and the others have not: those are in `emitted`.
    """
    ingress, taken = output.ingress, 0
    while taken < len(events):
        given = events[taken : taken + max(1, ingress.room_at_once())]
        piece = list(given)
        if output.output.is_acknowledged:
            piece = as_messages(piece)
            add_pending(piece)
        done = ingress.put(piece)
        try:
            await done
        except BaseException as error:
            if done.done() and not done.cancelled() and done.exception() is None:  # it had gone in right before
                _note(given, emitted)
                raise
            acknowledge(piece, Outcome.DONE)  # what was claimed for the output
            if not isinstance(error, NoProcess):
                raise
            break
        taken += len(piece)
        _note(given, emitted)
    return taken


def _note(events: Sequence[object], emitted: list[object] | None) -> None:
    if emitted is not None:
        emitted.extend(events)
