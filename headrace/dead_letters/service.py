"""The dead letters of one run: opens their store before the stages, replays into the stages, and closes it last."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import Final

from headrace.dead_letters.dead_letter import NewDeadLetter, Replay
from headrace.dead_letters.replay import ReplayOutcome, StageReplay, replay_of
from headrace.dead_letters.store import DeadLetterStore, ReplayResult
from headrace.errors import short_repr
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.failure import DeadLetterHandler, FailedEvent, Redact
from headrace.pipeline.topology.run import Run
from headrace.telemetry.events import LOG

CHECK_SECONDS: Final = 1.0
"""Seconds between two checks for requested replays, which other OS processes may request, too."""

WRITE_SECONDS: Final = 5.0
"""Seconds that the end of a run waits for the store to write the results of replays."""

CLOSE_SECONDS: Final = 60.0
"""Seconds that the service may take to close."""


class DeadLetterService:
    """Stores events that failed for good, and replays dead letters on request, while a pipeline runs.

    A dead letter is leased for its replay, and the result of the replay is written: it is deleted only after its event
    was handled. Otherwise it is released or, where it failed again at its own stage, kept with the new error.
    """

    name = "dead letters"
    has_own_work = False
    close_seconds = CLOSE_SECONDS
    failure = None

    def __init__(self, store: DeadLetterStore, pipeline: str, redact: Redact = str) -> None:
        """`redact` removes secrets from the texts of errors."""
        self.store = store
        self._pipeline = pipeline
        self._redact = redact
        self._run: Run | None = None
        self._replays: dict[str, StageReplay] = {}
        self._results: list[ReplayResult] = []
        self._not_started: list[Replay] = []
        self._woken = asyncio.Event()
        self._close_lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._is_open = False
        self._is_draining = False
        self._check_at = 0.0
        self._logged: set[str] = set()

    @property
    def dead_letter_handler(self) -> DeadLetterHandler:
        """Stores events that failed for good."""
        return self.dead_letter

    async def open(self) -> None:
        """Open the store. Raises the errors of `DeadLetterStore.open`."""
        await self.store.open()
        self._is_open = True
        self._is_draining = False

    async def attach(self, run: Run) -> None:
        """Begin replays before the stages of the run start, so that no stage ends before its dead letters have come."""
        self._run = run
        await self._step()
        self._task = run.scheduler.start_task(self._work(), copy_context(), f"{self._pipeline} dead letters")

    async def dead_letter(self, failed: Sequence[FailedEvent]) -> None:
        """Store events that failed for good; durable at return. Raises the errors of `DeadLetterStore.put`."""
        dead_letters = [self._dead_letter(one) for one in failed]
        try:
            await self.store.put(dead_letters)
        except BaseException:
            self._resolve(dead_letters, ReplayOutcome.LOST)
            raise
        self._resolve(dead_letters, ReplayOutcome.KEPT)

    def wake(self) -> None:
        """Check for requested replays now. For the thread of the loop only."""
        self._logged.clear()
        self._check_at = 0.0
        self.asked()

    def drain(self) -> None:
        """Start no more replays; those in progress go through."""
        self._is_draining = True
        for replay in self._replays.values():
            replay.finish()
        self.asked()

    async def close(self) -> None:
        """Write the results of replays, release the rest, and close the store. A second call does nothing."""
        self.drain()
        async with self._close_lock:
            if not self._is_open:
                return
            if self._task is not None:
                self._task.cancel()  # the task may wait for a file that is locked
                await asyncio.wait({self._task})
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._write()
            except Exception as error:  # noqa: BLE001 - the store is closed all the same, and releases the leases
                LOG.error("results of replays could not be written, and replays may be repeated: %s", short_repr(error))
            await self.store.close()
            self._is_open = False

    async def stop(self) -> None:
        """Close: a close waits for no replay."""
        await self.close()

    async def is_idle(self) -> bool:
        """Return True: there are no replays without stages."""
        return True

    # Reports of replays

    def ended(self, replay: Replay, *, is_done: bool) -> None:
        """Called when a replay has ended. Where the stop of the run has ended it, its dead letter waits again."""
        if not is_done and self._run is not None and self._run.is_stopping:
            self._not_started.append(replay)
        else:
            self._results.append(ReplayResult(replay, is_done))
        self.asked()

    def not_started(self, replay: Replay) -> None:
        """Called when a replay has not begun, so that its dead letter waits again."""
        self._not_started.append(replay)
        self.asked()

    def asked(self) -> None:
        """Wake the task, since there may be work."""
        self._woken.set()

    # The task

    async def _work(self) -> None:
        """Write results of replays, lease dead letters and send them, until cancelled."""
        while True:
            if not self._is_draining and self._run is not None and self._run.is_draining:
                self.drain()  # an interrupt in a callback has begun the drain
            self._woken.clear()
            seconds = await self._step()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()

    async def _step(self) -> float:
        """Do all work that is due; return after how many seconds to check again."""
        now = asyncio.get_running_loop().time
        try:
            await self._write()
            if now() >= self._check_at:
                self._check_at = now() + CHECK_SECONDS
                for stage in await self.store.waiting(self._pipeline):
                    self._begin(stage)
            waits = [await self._go_on(replay) for replay in list(self._replays.values())]
        except Exception as error:  # noqa: BLE001 - a store may raise anything; the run and its replays continue
            self._warn_once("store", "the store of dead letters cannot be used, and is tried again: %s", error)
            return CHECK_SECONDS
        return min([max(0.0, self._check_at - now()), *(wait for wait in waits if wait is not None)])

    async def _write(self) -> None:
        """Write results of replays; results that could not be written are kept for the next call."""
        results, self._results = self._results, []
        not_started, self._not_started = self._not_started, []
        try:
            if results:
                await self.store.acknowledge(results)
                results = []
            if not_started:
                await self.store.release(not_started)
                not_started = []
        finally:
            self._results[:0] = results
            self._not_started[:0] = not_started

    def _begin(self, stage: str) -> None:
        """Subscribe a stage to its dead letters, if it can receive them."""
        if self._is_draining or stage in self._replays:
            return
        found = self._consumer(stage)
        if isinstance(found, str):
            self._warn_once(stage, "dead letters of stage %r wait to be replayed: %s", stage, found)
            return
        LOG.info("dead letters are replayed into stage %r", stage)
        self._replays[stage] = StageReplay(stage, found, self)

    def _consumer(self, stage: str) -> StageProcess | str:
        """Return the process for the dead letters of a stage, or the reason why they cannot be replayed."""
        run = self._run
        process = None if run is None else run.processes.get(stage)
        if run is None or process is None:
            return "there is no stage of that name any more; drop them, or give it back its name"
        if process.input is None:
            return "it is a producer now, which takes none in"
        if run.is_draining or run.is_stopping or not process.may_subscribe():
            return "it has ended, and the next run takes them"
        if process.is_waiting():
            return "it is subscribed to nothing yet"
        is_kept = process.failure.dead_letter_handler is not None or process.failure.errors is not None
        is_for_children = process.step.has_children and not process.input.is_acknowledged
        if not is_kept or is_for_children:
            return "it keeps no dead letters any more, and one that failed again would be lost"
        return process

    async def _go_on(self, replay: StageReplay) -> float | None:
        """Lease dead letters of a stage and send them; return the seconds until the next one, None without one."""
        if replay.room and not self._is_draining:
            leased = await self.store.lease(self._pipeline, replay.stage, replay.room)
            if leased:
                replay.add(leased)
            else:
                replay.finish()
        wait = replay.send_due(asyncio.get_running_loop().time())
        if self._is_draining or replay.is_over:
            replay.finish()
        if replay.is_resolved:
            del self._replays[replay.stage]
        return wait

    def _dead_letter(self, failed: FailedEvent) -> NewDeadLetter:
        replay = replay_of(failed.metadata)
        if replay is None and failed.stage in self._replays:
            replay = self._replays[failed.stage].replay_in_flight(failed.data)
        return NewDeadLetter(
            self._pipeline,
            failed.stage,
            failed.data,
            failed.error,
            failed.attempts,
            failed.metadata,
            replay,
            self._redact,
        )

    def _resolve(self, dead_letters: Sequence[NewDeadLetter], outcome: ReplayOutcome) -> None:
        for dead_letter in dead_letters:
            if dead_letter.replay_of is not None and dead_letter.stage in self._replays:
                self._replays[dead_letter.stage].resolve(dead_letter.replay_of, outcome)

    def _warn_once(self, what: str, text: str, *args: object) -> None:
        """Log a warning once for each `what`, until `wake` is called."""
        if what not in self._logged:
            self._logged.add(what)
            LOG.warning(text, *args)
