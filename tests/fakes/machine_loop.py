"""An event loop whose clock jumps to the next timer when nothing else is due: what waits for time waits for none."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 200_000
"""Iterations of the loop within which whatever is run has to end."""

TICK_SECONDS: Final = 1e-6
"""By so much the clock moves each time a scheduler looks at it, so that a run takes the same turns each time."""


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: the seconds that it was to wait have passed."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.iterations = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.iterations += 1
        assert self.iterations < PATIENCE, "the machine comes to no end: it turns and turns"
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "the machine comes to no end: it waits for what never comes"
            self.seconds += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """Deterministic: the same callbacks in the same order, whatever the machine that it runs on is doing."""

    def __init__(self) -> None:
        self.jumping = _JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.seconds

    def clock(self) -> float:
        """Return a scheduler's time, which has moved by one tick."""
        self.jumping.seconds += TICK_SECONDS
        return self.jumping.seconds

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run `work` to its end, which is near."""
        self.jumping.iterations = 0
        return self.run_until_complete(work)
