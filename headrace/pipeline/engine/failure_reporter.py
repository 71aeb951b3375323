"""Failure policy for edges without acknowledgements: failed events are only counted."""

from collections.abc import Sequence

from headrace.pipeline.flow.counts import StageCounts


class PlainFailureReporter:
    """Counts events that fail; the events are plain, so a stage that retains some keeps no source waiting."""

    __slots__ = ("_counts",)

    def __init__(self, counts: StageCounts) -> None:
        self._counts = counts

    def failed_at(self, position: int, error: BaseException) -> None:
        """Count one event."""
        self._counts.fail(error)

    def failed(self, event: object, error: BaseException) -> None:
        """Count one event."""
        self._counts.fail(error)

    def failed_some(self, error: BaseException, count: int) -> None:
        """Count some events."""
        self._counts.fail(error, count)

    def retain(self, events: Sequence[object]) -> None:
        """Do nothing."""

    def release(self, events: Sequence[object]) -> None:
        """Do nothing."""

    def owned(self, events: Sequence[object]) -> Sequence[object]:
        """Return the events: no batch waits for any."""
        return events

    def returned(self) -> None:
        """Do nothing: nothing was released."""

    def requeue(self, *, has_current_batch: bool) -> list[object]:
        """Return nothing: plain events that a stage held are lost with it."""
        return []
