"""How a run ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """`reason` is what ended the run before its time, if anything did.

    `events_failed` counts events whose handling failed, `events_lost` those that crashes, full buffers and the end of
    the run discarded; of these `events_kept` are in the dead letters. `input_lost` is what sources
    lost before it became events, by what it was (files, bytes, datagrams). `is_drained` tells whether a drain was asked
    for and all that was taken in went through.
    """

    is_completed: bool
    reason: BaseException | None
    events_failed: int
    events_lost: int
    is_drained: bool
    events_kept: int = 0
    input_lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_fine(self) -> bool:
        """Whether all went through: the run completed or was drained, and no event failed, and nothing was lost."""
        is_whole = not (self.events_failed or self.events_lost or any(self.input_lost.values()))
        return (self.is_completed or self.is_drained) and not self.reason and is_whole
