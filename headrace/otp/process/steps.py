"""Runs a coroutine step by step, and measures how long each step holds the loop."""

from collections.abc import Callable, Coroutine, Generator
from types import coroutine

from headrace.otp.scheduler import HELD_SECONDS


class Steps:
    """What coroutines do from one suspension to the next.

    `worked` is told how many seconds each step took, and `held` of those that took longer than 50 ms.
    """

    __slots__ = ("_clock", "_held", "_worked")

    def __init__(
        self, clock: Callable[[], float], held: Callable[[float], None], worked: Callable[[float], None]
    ) -> None:
        self._clock = clock
        self._held = held
        self._worked = worked

    def retire(self) -> None:
        """Name nobody any more, from the step on that comes next."""
        self._held = _tell_nobody

    async def run(self, begin: Callable[[], Coroutine[object, object, None]]) -> None:
        """Run the coroutine that `begin` makes to its end."""
        await self._run(begin())

    @coroutine
    def _run(self, work: Coroutine[object, object, None]) -> Generator[object, object, None]:
        clock, worked = self._clock, self._worked
        error: BaseException | None = None
        while True:
            held, begun = self._held, clock()
            try:
                awaited = work.send(None) if error is None else work.throw(error)
            except StopIteration:
                return
            finally:
                spent = clock() - begun
                worked(spent)
                if spent > HELD_SECONDS:
                    held(spent)
            error, held = None, _tell_nobody  # a waiting frame must not keep the process from being freed
            try:
                yield awaited  # a task answers with None, always
            except BaseException as thrown:  # noqa: BLE001 - whatever is thrown in is passed on
                error = thrown


def _tell_nobody(_: float) -> None:
    """Do nothing."""
