"""A thread beside the loop, in which one stage makes the calls that may block."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar, cast

T = TypeVar("T")

Job = tuple[Callable[[], object], "asyncio.Future[object]"]


def _nothing() -> None:
    """Do nothing."""


class SideThread:
    """Makes calls one after another, in the order in which they were given.

    It is a daemon: a call that never returns (a dead disk, a pipe that nobody reads) holds up neither a drain nor the
    end of the OS process, as it would in the loop's own pool of threads. Start it, give it calls and close it in the
    thread of the loop that was running when it was made.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | Callable[[], None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin to make calls."""
        self._thread.start()

    def call(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Make one call; the future gets what it returns or raises. A cancelled future does not stop a call."""
        future: asyncio.Future[object] = self._loop.create_future()
        future.add_done_callback(_seen)
        self._jobs.put((work, future))
        return cast("asyncio.Future[T]", future)

    def close(self, last: Callable[[], None] = _nothing) -> None:
        """Make one last call, which must not raise, and end the thread after it; wait for neither."""
        self._jobs.put(last)

    def _work(self) -> None:
        while isinstance(job := self._jobs.get(), tuple):
            work, future = job
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is raised where the future is awaited
                self._tell(_failed, future, error)
            else:
                self._tell(_done, future, result)
            del job, future
        job()

    def _tell(
        self, tell: Callable[["asyncio.Future[object]", T], None], future: "asyncio.Future[object]", what: T
    ) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(tell, future, what)


def _seen(future: "asyncio.Future[object]") -> None:
    """Keep asyncio from reporting the error of a call that a stopped stage no longer waits for."""
    if not future.cancelled():
        future.exception()


def _done(future: "asyncio.Future[object]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _failed(future: "asyncio.Future[object]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
