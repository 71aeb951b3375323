"""Passes on events that have failed for good: to the `errors` output, to the dead letters, or only to the counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.pipeline.failure import FailedEvent, FailurePolicy, Redact
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Message, Outcome


@dataclass(frozen=True, slots=True)
class FailedUnit:
    """An event, a message where those flow, with its failure."""

    event: object
    failed: FailedEvent


def failed_unit(stage: str, event: object, error: BaseException, attempt: int) -> FailedUnit:
    """Return an event that failed in its `attempt`-th try of this delivery."""
    if not isinstance(event, Message):
        return FailedUnit(event, FailedEvent(stage, event, error, attempt, {}))
    return FailedUnit(event, FailedEvent(stage, event.data, error, attempt + event.attempt - 1, event.metadata))


async def dead_letter(many: Sequence[FailedUnit], failure: FailurePolicy, counts: StageCounts) -> Outcome:
    """Handle events that failed for good as `failure` says; return their worst outcome.

    Events that go to the `errors` output are done, as far as this stage goes. Where that ends meanwhile the rest is
    dead-lettered. Events that no store takes have failed.
    """
    errors = [one.failed.error for one in many]
    if failure.errors is not None:
        emitted = await failure.errors([_described(one, failure.redact) for one in many])
        counts.pass_on(errors[:emitted])
        many, errors = many[emitted:], errors[emitted:]
        if not many:
            return Outcome.DONE
    if failure.dead_letter_handler is not None:
        try:
            await failure.dead_letter_handler([one.failed for one in many])
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the events have failed
            counts.fail_to_dead_letter(len(many), error)
        else:
            counts.dead_letter(errors)
            return Outcome.DEAD_LETTERED
    for failed in errors:
        counts.fail(failed)
    return Outcome.FAILED


def _described(one: FailedUnit, redact: Redact) -> object:
    """Return the event for the `errors` output; it is derived of a message."""
    described = one.failed.described(redact)
    return one.event.derive(described) if isinstance(one.event, Message) else described
