"""The rules about failures: crashes, time limits, retries, poison events and dead letters."""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Sequence

from headrace.errors import PoisonEvent
from headrace.pipeline.engine.units import Unit
from headrace.pipeline.failure import FailedEvent, FailurePolicy, retry_after
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Message, Outcome


class FailureRules:
    """Attempts the events of a unit, and handles its failures.

    With a plain `FailurePolicy`, an exception of a callback crashes the stage. With any other it fails the events of
    that call instead.
    """

    def __init__(self, counts: StageCounts, policy: FailurePolicy) -> None:
        self._counts = counts
        self._policy = policy

    @property
    def is_plain(self) -> bool:
        """Whether a failed event is discarded at once."""
        return self._policy.is_plain

    def discard(self, unit: Unit) -> None:
        """Discard the failed events of a unit."""
        for error in unit.failures.values():
            self._counts.fail(error)
        unit.outcomes = dict.fromkeys(unit.failures, Outcome.FAILED)

    def begin(self, unit: Unit, positions: Sequence[int]) -> Awaitable[object] | None:
        """Begin an attempt at events of a unit. Return an awaitable for `wait`, or None when the attempt is over."""
        try:
            returned = unit.call(positions)
            if inspect.isawaitable(returned):
                return returned
            unit.take(positions, returned)
        except Exception as error:
            if unit.handler.is_crash(error):
                raise
            self._fail_all(unit, positions, error)
        return None

    async def wait(self, unit: Unit, positions: Sequence[int], returned: Awaitable[object]) -> None:
        """Wait until an attempt is over."""
        try:
            is_timed = unit.is_timed_whole and self._policy.timeout_seconds is not None
            unit.take(positions, await (unit.handler.in_time(returned) if is_timed else returned))
        except Exception as error:
            if unit.handler.is_crash(error):
                raise
            self._fail_all(unit, positions, error)

    def _fail_all(self, unit: Unit, positions: Sequence[int], error: BaseException) -> None:
        for position in positions:
            unit.failures.setdefault(position, error)

    def is_poison(self, unit: Unit) -> bool:
        """Return whether the one event of a unit has crashed the stage too often; if so, fail it."""
        event, most = unit.events[0], self._policy.max_deliveries
        if not isinstance(event, Message) or event.attempt <= most:
            return False
        unit.failures[0] = PoisonEvent(self._counts.stage, most)
        return True

    async def mend(self, unit: Unit) -> None:
        """Retry the failed events of a unit until each has succeeded or failed for good; dead-letter the latter."""
        retry, attempt = self._policy.retry, 1
        failed: dict[int, FailedEvent] = {}
        while unit.failures:
            failures, unit.failures = unit.failures, {}
            again: dict[int, BaseException] = {}
            for position, error in failures.items():
                if retry is not None and retry.is_wanted(error, attempt) and not isinstance(error, PoisonEvent):
                    again[position] = error
                else:
                    failed[position] = self._failed_event(unit.events[position], error, attempt)
            if again:
                await self._retry_later(unit, again, attempt)
                attempt += 1
        if failed:
            outcome = await self.dead_letter([unit.events[position] for position in failed], list(failed.values()))
            unit.outcomes = {} if outcome is Outcome.DONE else dict.fromkeys(failed, outcome)

    async def _retry_later(self, unit: Unit, failures: dict[int, BaseException], attempt: int) -> None:
        """Attempt events again, after the longest back-off of their `attempt`-th attempt."""
        errors = list(failures.values())
        self._counts.try_again(errors)
        retry, jitter = self._policy.retry, random.random()  # noqa: S311 - not for secrets
        if retry is not None:
            await asyncio.sleep(max(retry.seconds(attempt, jitter, retry_after(error)) for error in errors))
        positions = list(failures)
        returned = self.begin(unit, positions)
        if returned is not None:
            await self.wait(unit, positions, returned)

    def _failed_event(self, event: object, error: BaseException, attempt: int) -> FailedEvent:
        """Return the record of an event that failed for good, in the `attempt`-th attempt of this delivery."""
        if isinstance(event, Message):
            return FailedEvent(self._counts.stage, event.data, error, attempt + event.attempt - 1, event.metadata)
        return FailedEvent(self._counts.stage, event, error, attempt, {})

    async def dead_letter(self, events: Sequence[object], failed: Sequence[FailedEvent]) -> Outcome:
        """Send events that failed for good to the `errors` output, else to the dead letters; else discard them.

        Return the worst outcome. Events that the `errors` output takes are done. If that output ends meanwhile, the
        others are dead-lettered. Events that no store takes have failed.
        """
        policy, counts = self._policy, self._counts
        errors = [one.error for one in failed]
        if policy.errors is not None:
            described = (one.described(policy.redact) for one in failed)
            pairs = zip(events, described, strict=True)
            emitted = await policy.errors(
                [event.derive(text) if isinstance(event, Message) else text for event, text in pairs]
            )
            counts.pass_on(errors[:emitted])
            failed, errors = failed[emitted:], errors[emitted:]
            if not failed:
                return Outcome.DONE
        if policy.dead_letter_handler is not None:
            try:
                await policy.dead_letter_handler(failed)
            except Exception as error:  # noqa: BLE001 - whatever a store raises, the events have failed
                counts.fail_to_dead_letter(len(failed), error)
            else:
                counts.dead_letter(errors)
                return Outcome.DEAD_LETTERED
        for failure in errors:
            counts.fail(failure)
        return Outcome.FAILED
