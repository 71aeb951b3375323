"""Gives up events that have failed for good: to the `errors` output, to the dead letters, or to nobody."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.pipeline.failure import FailedEvent, FailurePolicy, Redact
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Message, Outcome


@dataclass(frozen=True, slots=True)
class FailedUnit:
    """An event, a message where those flow, with what is known of its failure."""

    event: object
    failed: FailedEvent


def given_up(stage: str, event: object, error: BaseException, attempt: int) -> FailedUnit:
    """Return an event that failed in its `attempt`-th try of this delivery."""
    if not isinstance(event, Message):
        return FailedUnit(event, FailedEvent(stage, event, error, attempt, {}))
    return FailedUnit(event, FailedEvent(stage, event.data, error, attempt + event.attempt - 1, event.metadata))


async def give_up(many: Sequence[FailedUnit], failure: FailurePolicy, counts: StageCounts) -> Outcome:
    """Do with events that failed for good what `failure` says; return how they end, the worst of them.

    What goes to the `errors` output is claimed: it is done, as far as this stage goes. Where that ends meanwhile the
    rest is set aside. What no store takes has failed.
    """
    errors = [one.failed.error for one in many]
    if failure.errors is not None:
        gone = await failure.errors([_described(one, failure.redact) for one in many])
        counts.pass_on(errors[:gone])
        many, errors = many[gone:], errors[gone:]
        if not many:
            return Outcome.DONE
    if failure.set_aside is not None:
        try:
            await failure.set_aside([one.failed for one in many])
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the events have failed
            counts.cannot_set_aside(len(many), error)
        else:
            counts.set_events_aside(errors)
            return Outcome.SET_ASIDE
    for failed in errors:
        counts.fail(failed)
    return Outcome.FAILED


def _described(one: FailedUnit, redact: Redact) -> object:
    """Return what the `errors` output emits; of a message it is derived."""
    described = one.failed.described(redact)
    return one.event.derive(described) if isinstance(one.event, Message) else described
