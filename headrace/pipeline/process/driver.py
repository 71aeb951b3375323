"""The one long-lived task of a process, which runs all its async callbacks, one after another."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context

from headrace.pipeline.process.scheduler import Scheduler

Done = Callable[[object, BaseException | None], None]
"""Told once how a callback ended: with its result, or with the error that it raised. It must not raise."""


class Driver:
    """Runs awaitables in a task that lives as long as its process, in the process's own context.

    So `asyncio.timeout`, `TaskGroup` and async generators behave: what one callback entered, the same task leaves.
    """

    def __init__(self, scheduler: Scheduler, context: Context, name: str) -> None:
        self._scheduler = scheduler
        self._context = context
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._wakeup: asyncio.Future[None] | None = None
        self._jobs: deque[tuple[Awaitable[object], Done]] = deque()
        self._is_cancelling = False

    def run(self, work: Awaitable[object], done: Done) -> None:
        """Run `work` after all that was given before, and tell `done` how it ended."""
        self._jobs.append((work, done))
        if self._task is None or self._task.done():
            self._start_task()
        elif self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    def cancel(self) -> None:
        """Cancel the callback that runs now; its `done` is told so, and the task lives on."""
        if self._jobs and self._task is not None and not self._is_cancelling:
            self._is_cancelling = True
            self._task.cancel()

    def close(self) -> None:
        """End the task. Call it when no callback runs, or from within `done`."""
        if self._task is not None:
            self._task.cancel()

    def _start_task(self) -> None:
        self._task = self._scheduler.start_task(self._main(), self._context, self._name)
        self._task.add_done_callback(self._task_ended)

    async def _main(self) -> None:
        while True:
            while not self._jobs:
                self._wakeup = self._scheduler.loop.create_future()
                await self._wakeup
            try:
                result = await self._jobs[0][0]
            except BaseException as error:
                is_foreign = isinstance(error, asyncio.CancelledError) and self._was_cancelled_by_others()
                self._finish(None, error)
                if is_foreign:
                    raise
            else:
                self._finish(result, None)

    def _was_cancelled_by_others(self) -> bool:
        return not self._is_cancelling and self._task is not None and self._task.cancelling() > 0

    def _finish(self, result: object, error: BaseException | None) -> None:
        if self._is_cancelling and self._task is not None:
            self._is_cancelling = False
            self._task.uncancel()
        _, done = self._jobs.popleft()
        done(result, error)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """Tell of a callback whose task was cancelled before its first step, and go on with the next."""
        if task is not self._task or not self._jobs:
            return
        work, done = self._jobs.popleft()
        if isinstance(work, Coroutine):
            work.close()
        self._is_cancelling = False
        done(None, asyncio.CancelledError())
        if self._jobs:
            self._start_task()
