"""The side outputs of one stage that somebody takes: each lets events in as far as it has room."""

from collections.abc import Sequence

from headrace.ground.errors import NoProcess
from headrace.pipeline.acknowledgement.acknowledgement import Outcome
from headrace.pipeline.acknowledgement.message import as_messages, claim, settle
from headrace.pipeline.stage.producer_process import ProducerProcess


class SideOutputs:
    """Outputs by name; they outlive the restarts of their stage."""

    def __init__(self) -> None:
        self._outputs: dict[str, ProducerProcess] = {}

    def join(self, name: str, output: ProducerProcess) -> None:
        """Take in an output."""
        self._outputs[name] = output

    async def put(self, name: str, events: Sequence[object]) -> int:
        """Do what `put_aside` does by an output; return 0 where nobody takes it."""
        output = self._outputs.get(name)
        return 0 if output is None else await put_aside(output, events)


async def put_aside(output: ProducerProcess, events: Sequence[object]) -> int:
    """Emit events by a side output as there is room; return how many it took, from the first: less where it has ended.

    Cancelled, the first of them may have gone in, and the others have not.
    """
    entrance, taken = output.entrance, 0
    while taken < len(events):
        piece = list(events[taken : taken + max(1, entrance.room_at_once())])
        if output.outlet.is_acknowledged:
            piece = as_messages(piece)
            claim(piece)
        try:
            await entrance.put(piece)
        except BaseException as error:
            settle(piece, Outcome.DONE)  # what was claimed for the output
            if not isinstance(error, NoProcess):
                raise
            break
        taken += len(piece)
    return taken
