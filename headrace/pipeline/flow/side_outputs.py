"""The side outputs of one stage that have a subscriber: each takes events in as far as it has room."""

from collections.abc import Sequence

from headrace.errors import NoProcess
from headrace.pipeline.flow.ingress import Ingress
from headrace.pipeline.message import Outcome, acknowledge, add_pending, as_messages


class SideOutputs:
    """Outputs by name; they outlive the restarts of their stage."""

    def __init__(self) -> None:
        self._outputs: dict[str, Ingress] = {}
        self._emitted: list[object] = []

    def add(self, name: str, ingress: Ingress) -> None:
        """Emit the events of the output `name` by the ingress of the stage that the output is."""
        self._outputs[name] = ingress

    async def put(self, name: str, events: Sequence[object]) -> int:
        """Emit events by an output, as `emit_to_side_output` does; return 0 where it has no subscriber."""
        ingress = self._outputs.get(name)
        if ingress is None:
            return 0
        emitted: list[object] = []
        try:
            return await emit_to_side_output(ingress, events, emitted)
        except BaseException:
            self._emitted += emitted
            raise

    def take_emitted(self) -> list[object]:
        """Return, once, the events that were emitted when `put` was cut off: their output has counted them."""
        emitted, self._emitted = self._emitted, []
        return emitted


async def emit_to_side_output(ingress: Ingress, events: Sequence[object], emitted: list[object] | None = None) -> int:
    """Emit events by a side output as there is room, and return how many it took: fewer where it has ended.

    Events are emitted in order. After a cancellation, `emitted` holds the events that the output took.
    """
    taken = 0
    while taken < len(events):
        given = events[taken : taken + max(1, ingress.room_at_once())]
        piece = list(given)
        if ingress.is_acknowledged:
            piece = as_messages(piece)
            add_pending(piece)
        done = ingress.put(piece)
        try:
            await done
        except BaseException as error:
            if done.done() and not done.cancelled() and done.exception() is None:  # it had gone in right before
                _note(given, emitted)
                raise
            acknowledge(piece, Outcome.DONE)  # of the copies that the output did not take
            if not isinstance(error, NoProcess):
                raise
            break
        taken += len(piece)
        _note(given, emitted)
    return taken


def _note(events: Sequence[object], emitted: list[object] | None) -> None:
    if emitted is not None:
        emitted.extend(events)
