"""The rules of batches (pure): which callbacks are due, by how the members stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from headrace.jobs.job import Job
from headrace.jobs.rules.verdict import Verdict

ROLE: Final = "batch_role"
MEMBER_META: Final[Mapping[str, str]] = {ROLE: "member"}
CALLBACK_META: Final[Mapping[str, str]] = {ROLE: "callback"}
"""What stands in the meta of members and of callbacks beside the `batch_id` that they share."""

CALLBACK: Final = "callback"
"""The key of a callback's meta that says when it is due."""

Callback = Literal["ended", "completed", "failed"]
"""When all members have ended; when all have done so well; as soon as one of them has not."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the members of a batch stand: whether all have ended, and whether any was given up or called off."""

    is_over: bool
    has_failed: bool


def verdict_on_callbacks(callbacks: Sequence[Job], standing: Standing) -> Verdict:
    """Return which suspended callbacks of one batch are due, and which will never be."""
    release, cancel = [], []
    for callback in callbacks:
        if _is_due(callback, standing):
            release.append(callback.id)
        elif standing.is_over:
            cancel.append(callback.id)
    return Verdict(release, cancel)


def _is_due(callback: Job, standing: Standing) -> bool:
    when = callback.meta.get(CALLBACK)
    if when == "failed":
        return standing.has_failed
    return standing.is_over and not (when == "completed" and standing.has_failed)
