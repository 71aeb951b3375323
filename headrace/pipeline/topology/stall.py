"""Finds stages that hold the others: events wait at them, and none goes on. Pure: it is told how things stand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

STALL_SECONDS: Final = 60.0
"""How long nothing may go on, unless told otherwise."""

Cause = Literal["paused", "busy", "unasked"]
"""Why a stage does not go on: it is paused; its callback has not returned; nobody asks for its events."""

_BECAUSE: Final[Mapping[Cause, str]] = {
    "paused": "it is paused: resume it",
    "busy": "its callback has not returned: look at what it waits for, or give the stage a timeout",
    "unasked": "nobody asks for its events: look at its consumers, their partitions and outputs",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stage stands: a count that grows when anything goes on there, and how many events wait at it."""

    progress: int
    waiting: int
    cause: Cause
    producers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stall:
    """A stage at which nothing has gone on for `seconds` although `waiting` events wait; `held` stand still behind."""

    stage: str
    seconds: float
    waiting: int
    cause: Cause
    held: tuple[str, ...]

    def __str__(self) -> str:
        behind = f", and holds {', '.join(map(repr, self.held))}" if self.held else ""
        return (
            f"stage {self.stage!r} has done nothing for {self.seconds:.0f} s with {self.waiting} events "
            f"waiting{behind}; {_BECAUSE[self.cause]}"
        )


class StallWatch:
    """Compares how stages stand with how they stood."""

    def __init__(self, after_seconds: float) -> None:
        self._after_seconds = after_seconds
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self, now: float, standings: Mapping[str, Standing]) -> dict[str, Stall]:
        """Return the stages that hold others, by name; `now` in seconds is not before that of the look before."""
        since = {name: self._since(name, one, now) for name, one in standings.items()}
        self._seen = {name: (standings[name].progress, begun) for name, begun in since.items()}
        still = {name for name in since if standings[name].waiting and now - since[name] >= self._after_seconds}
        feeding = {producer for name in still for producer in standings[name].producers}
        found: dict[str, Stall] = {}
        for name in still - feeding:
            one = standings[name]
            held = tuple(sorted(_behind(name, standings, still)))
            found[name] = Stall(name, now - since[name], one.waiting, one.cause, held)
        return found

    def _since(self, name: str, one: Standing, now: float) -> float:
        """Return since when nothing has gone on at a stage with something to do."""
        progress, begun = self._seen.get(name, (-1, now))
        return begun if one.waiting and one.progress == progress else now


def _behind(name: str, standings: Mapping[str, Standing], still: set[str]) -> Iterator[str]:
    """Yield the stages that stand still behind one, each once."""
    seen: set[str] = set()
    rest = [name]
    while rest:
        for producer in standings[rest.pop()].producers:
            if producer in still and producer not in seen:
                seen.add(producer)
                rest.append(producer)
                yield producer
