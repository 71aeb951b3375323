"""Within which bounds a store keeps dead letters."""

from dataclasses import dataclass
from typing import Final

LEAST_SIZE_BYTES: Final = 64 * 1024
"""A smaller bound would keep nothing worth the name."""


@dataclass(frozen=True, slots=True)
class DeadLetterLimits:
    """How much is kept: what is older goes, and the oldest go first when there are too many or they are too large."""

    max_age_seconds: float = 30 * 86_400.0
    max_size_bytes: int = 100 * 1024 * 1024
    max_events: int = 1_000_000


UNBOUNDED: Final = DeadLetterLimits(100 * 366 * 86_400.0, 2**62, 2**62)
"""For who only looks: whatever there is stays."""
