"""`ProcessExecutor`: runs functions in OS processes, so that they use all cores and can be ended at any time."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from typing_extensions import override

from headrace.executors.call import Call, Raised, Returned
from headrace.executors.errors import ExecutorError, UnguardedMain, WorkerDied, WorkerNotStarted
from headrace.executors.executor import Executor
from headrace.executors.protocol import packed_call
from headrace.executors.worker_process import WorkerProcess, WorkerSettings
from headrace.telemetry.events import LOG


@dataclass(frozen=True, slots=True)
class ProcessStatistics:
    """The counts of an executor.

    `alive` OS processes, and the `busy` ones among them, which run a call or are about to end; `waiting` calls; OS
    processes that were `started`, that died unasked (`deaths`), and that replaced a dead one (`restarts`); and calls by
    outcome.
    """

    limit: int
    alive: int
    busy: int
    waiting: int
    started: int
    deaths: int
    restarts: int
    returned: int
    raised: int
    stopped: int


class ProcessExecutor(Executor):
    """Runs functions in at most `limit` OS processes, each with its own pipe.

    A function is from the top level of a module, or a text "module:qualname"; an `async def` runs there in an event
    loop of its own. Function, arguments and result are pickled. An error of the function is raised here with the
    traceback there as its cause, or as RemoteError. Pickling runs on the loop: pass paths and keys rather than large
    data.

    An OS process that dies fails only the call that it ran, with WorkerDied, and is replaced at once. A call that is
    cancelled or out of time is terminated: its `finally` blocks have `grace_seconds`, then it is killed; its slot is
    free when the OS process has ended. OS processes start when they are first needed, as a new Python (never by fork).
    They import only what the functions need, ignore SIGINT, and end with the OS process that started them, however it
    ends.
    """

    def __init__(self, limit: int, settings: WorkerSettings | None = None) -> None:
        super().__init__(limit)
        self._settings = settings or WorkerSettings()
        self._workers: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._worker_ended = asyncio.Event()
        self._started = 0
        self._deaths = 0
        self._unreplaced = 0

    def statistics(self) -> ProcessStatistics:
        """Return the present counts."""
        return ProcessStatistics(
            limit=self.limit,
            alive=len(self._workers),
            busy=self._slots.taken,
            waiting=self._slots.waiting,
            started=self._started,
            deaths=self._deaths,
            restarts=self._deaths - self._unreplaced,
            returned=self._counts.returned,
            raised=self._counts.raised,
            stopped=self._counts.stopped,
        )

    @override
    def resize(self, limit: int) -> None:
        super().resize(limit)
        while self._idle and len(self._workers) > limit:
            self._idle.pop(0).stop_when_idle()

    @override
    async def aclose(self, *, timeout_seconds: float | None = 0.0) -> None:
        try:
            await self._drain(timeout_seconds)
            if self._sweep is not None:
                self._sweep.cancel()
            for worker in self._workers:
                if worker.has_slot:
                    worker.end()
                elif not worker.is_stopping:
                    worker.stop_when_idle()
            await self._all_ended()
        except asyncio.CancelledError:
            for worker in self._workers:
                worker.end(at_once=True)
            await self._all_ended()
            raise

    @override
    def _begin(
        self, name: str, function: Callable[..., object] | str, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Call[object]:
        _check_main(name)
        frame = packed_call(name, function, args, kwargs)
        worker = self._free_worker() or self._new_worker()
        call: Call[object] = Call(name, worker.end)
        worker.give(call, frame)
        return call

    def replied(self, worker: WorkerProcess, call: Call[object], outcome: Returned[object] | Raised) -> None:
        """Handle the outcome of a call. A worker that is about to end keeps its slot until it has ended."""
        if not worker.is_stopping:
            self._free(worker)
            self._rest(worker)
        self._count_outcome(call, outcome)

    def ended(self, worker: WorkerProcess, call: Call[object] | None, error: ExecutorError) -> None:
        """Handle the end of a worker process; `error` is the error of its call, if it ran one."""
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if worker.has_died:
            self._count_death(worker)
            if call is None:
                how = error.how if isinstance(error, WorkerDied) else error
                LOG.warning("an idle OS process of an executor ended: %s", how)
            elif isinstance(error, WorkerDied) and not self._is_closed and len(self._workers) < self.limit:
                with suppress(ExecutorError):  # the next call tries again, and gets the error
                    self._rest(self._new_worker())
        if worker.has_slot:
            self._free(worker)
        if call is not None:
            self._count_outcome(call, Raised(error))
        self._worker_ended.set()

    def _free(self, worker: WorkerProcess) -> None:
        worker.has_slot = False
        self._slots.give_back()

    def _free_worker(self) -> WorkerProcess | None:
        """Return the worker that was used last, so that workers that are not needed become idle."""
        while self._idle:
            worker = self._idle.pop()
            if not worker.is_stopping and not worker.has_exited:
                return worker
            self._count_death(worker)
        return None

    def _count_death(self, worker: WorkerProcess) -> None:
        """Count the death of a worker once."""
        if not worker.is_counted_dead:
            worker.is_counted_dead = True
            self._deaths += 1
            self._unreplaced += 1

    def _new_worker(self) -> WorkerProcess:
        try:
            worker = WorkerProcess(self._settings, self)
        except (OSError, RuntimeError) as error:  # the system has no more files or threads
            raise WorkerNotStarted(str(error)) from error
        self._workers.add(worker)
        self._started += 1
        self._unreplaced -= self._unreplaced > 0
        return worker

    def _rest(self, worker: WorkerProcess) -> None:
        """Keep an idle worker, unless there are too many."""
        if self._is_closed or len(self._workers) > self.limit:
            worker.stop_when_idle()
            return
        loop = asyncio.get_running_loop()
        worker.idle_since = loop.time()
        self._idle.append(worker)
        if self._settings.idle_seconds is not None and self._sweep is None:
            self._sweep = loop.call_later(self._settings.idle_seconds, self._stop_idle)

    def _stop_idle(self) -> None:
        """End the workers that have been idle for too long; the list begins with the longest idle one."""
        self._sweep = None
        loop = asyncio.get_running_loop()
        seconds = self._settings.idle_seconds
        if seconds is None:
            return
        while self._idle and self._idle[0].idle_since + seconds <= loop.time():
            self._idle.pop(0).stop_when_idle()
        if self._idle:
            self._sweep = loop.call_at(self._idle[0].idle_since + seconds, self._stop_idle)

    async def _all_ended(self) -> None:
        while self._workers:
            self._worker_ended.clear()
            await self._worker_ended.wait()


def _check_main(name: str) -> None:
    """Refuse functions while the main script is imported for a call of another OS process: it has no guard."""
    main = sys.modules["__main__"]
    if getattr(main, "IS_LOADING_MAIN", False):
        vars(main)["IS_MAIN_UNGUARDED"] = True
        raise UnguardedMain(name)
