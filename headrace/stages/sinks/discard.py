"""Takes every event and does nothing with it."""

from typing_extensions import override

from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.options import Options, StageType


class DiscardOptions(Options):
    """No options."""


class Discard(Consumer[object], StageType):
    """Ends a branch whose events are not needed; they count as handled, not as discarded."""

    Options = DiscardOptions
    takes_messages = True

    def __init__(self, options: DiscardOptions) -> None:
        self._options = options

    @override
    def handle_events(self, events: list[object]) -> None:
        """Ignore the events."""
