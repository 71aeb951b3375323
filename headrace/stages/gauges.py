"""Remembers what gauges stand at, so that a change by +1 becomes a value."""

from collections.abc import Mapping
from typing import Final

GAUGES_LIMIT: Final = 10_000
"""How many gauges are remembered: a few megabytes."""

Key = tuple[str, tuple[tuple[str, str], ...]]


class Gauges:
    """The latest value of each gauge, by its name and tags; one that was never set stands at 0, as in StatsD."""

    def __init__(self, limit: int = GAUGES_LIMIT) -> None:
        self._limit = limit
        self._values: dict[Key, float] = {}

    def set(self, name: str, tags: Mapping[str, str], value: float) -> float:
        """Set a gauge to a value. Beyond the limit a new one is not remembered."""
        key = _key(name, tags)
        if key in self._values or len(self._values) < self._limit:
            self._values[key] = value
        return value

    def change(self, name: str, tags: Mapping[str, str], by: float) -> float | None:
        """Change a gauge; return its value now, or None for a new one beyond the limit, whose value nobody knows."""
        key = _key(name, tags)
        value = self._values.get(key)
        if value is None and len(self._values) >= self._limit:
            return None
        self._values[key] = changed = (value or 0.0) + by
        return changed


def _key(name: str, tags: Mapping[str, str]) -> Key:
    return name, tuple(sorted(tags.items()))
