"""Cancels a coroutine at its n-th suspension, in each of the two ways in which that can come about."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Final, Literal

How = Literal["waiting", "woken"]
"""What it waits for is still to come; or has just come, so that it would have gone on in this very iteration."""

HOWS: Final[tuple[How, ...]] = ("waiting", "woken")


class CancelledAt:
    """Awaits `work`; its task is cancelled at the `step`-th of the futures that it waits for, counted from 0."""

    def __init__(self, work: Coroutine[object, object, object], step: int, how: How) -> None:
        self.work = work
        self.step = step
        self.how = how
        self.was_cancelled = False

    def __await__(self) -> Generator[object, object, object]:
        steps = self.work.__await__()
        error: BaseException | None = None
        while True:
            try:
                awaited = next(steps) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            self._look(awaited)
            error = None
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001 - whatever is thrown in is passed on
                error = thrown

    def _look(self, awaited: object) -> None:
        task = asyncio.current_task()
        if not isinstance(awaited, asyncio.Future) or task is None:
            return
        if self.step == 0:
            self.was_cancelled = True
            if self.how == "woken":
                awaited.add_done_callback(lambda _: task.cancel())  # comes before what wakes the task
            else:
                asyncio.get_running_loop().call_soon(task.cancel)
        self.step -= 1


async def cancelled_at(work: Coroutine[object, object, object], step: int, how: How) -> bool:
    """Run `work` and cancel it at its `step`-th suspension; return whether it came so far."""
    run = CancelledAt(work, step, how)

    async def main() -> None:
        await run

    with suppress(asyncio.CancelledError):
        await asyncio.create_task(main())
    return run.was_cancelled


async def at_every_step(attempt: Callable[[int], Awaitable[bool]]) -> int:
    """Await `attempt(step)`, which tells whether it was cancelled there, for one step after the other, to the end.

    Return how many steps there were.
    """
    step = 0
    while await attempt(step):
        step += 1
    return step
