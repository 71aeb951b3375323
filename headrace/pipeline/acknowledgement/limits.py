"""The limits of a store of dead letters."""

from dataclasses import dataclass
from typing import Final

LEAST_SIZE_BYTES: Final = 64 * 1024
"""A smaller bound would keep nothing worth the name."""


@dataclass(frozen=True, slots=True)
class DeadLetterLimits:
    """How much a store keeps: older dead letters are dropped, then the oldest beyond the other two limits."""

    max_age_seconds: float = 30 * 86_400.0
    max_size_bytes: int = 100 * 1024 * 1024
    max_events: int = 1_000_000


UNBOUNDED: Final = DeadLetterLimits(100 * 366 * 86_400.0, 2**62, 2**62)
"""For commands that only read: nothing is dropped."""
