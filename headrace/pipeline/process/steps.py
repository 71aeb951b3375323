"""Runs a coroutine step by step, and measures how long each step holds the loop."""

from collections.abc import Callable, Coroutine, Generator
from types import coroutine

from headrace.pipeline.process.scheduler import HELD_SECONDS


class Steps:
    """What a coroutine does from one suspension to the next. `held` is told of a step that took longer than 50 ms."""

    __slots__ = ("_clock", "_held")

    def __init__(self, clock: Callable[[], float], held: Callable[[float], None]) -> None:
        self._clock = clock
        self._held = held

    def retire(self) -> None:
        """Tell nobody from now on."""
        self._held = _tell_nobody

    async def run(self, begin: Callable[[], Coroutine[object, object, None]]) -> None:
        """Run the coroutine that `begin` makes to its end."""
        await self._run(begin())

    @coroutine
    def _run(self, work: Coroutine[object, object, None]) -> Generator[object, object, None]:
        clock = self._clock
        error: BaseException | None = None
        while True:
            begun = clock()
            try:
                awaited = work.send(None) if error is None else work.throw(error)
            except StopIteration:
                return
            finally:
                spent = clock() - begun
                if spent > HELD_SECONDS:
                    self._held(spent)
            error = None
            try:
                yield awaited  # a task answers with None, always
            except BaseException as thrown:  # noqa: BLE001 - whatever is thrown in is passed on
                error = thrown


def _tell_nobody(_: float) -> None:
    """Do nothing."""
