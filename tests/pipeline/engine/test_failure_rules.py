"""Events that failed for good: each goes to the errors output, to the dead letters or to the counts; to one only."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.engine.failure_rules import FailureRules
from headrace.pipeline.failure import FailedEvent, FailurePolicy
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from tests.fakes.failing_stages import Aside


@given(count=st.integers(1, 9), room=st.integers(0, 9), is_kept=st.booleans())
def test_events_that_the_errors_output_does_not_take_are_dead_lettered(count: int, room: int, *, is_kept: bool) -> None:
    gone: list[object] = []

    async def errors(described: Sequence[object]) -> int:
        gone.extend(described[:room])
        return min(room, len(described))

    aside, counts = Aside(), StageCounts("stage")
    messages = [Message(number, acknowledgement=Acknowledgement(lambda _: None)) for number in range(count)]
    failed = [FailedEvent("stage", message.data, ValueError(), 1, {}) for message in messages]
    policy = FailurePolicy(dead_letter_handler=aside if is_kept else None, errors=errors)
    outcome = asyncio.run(FailureRules(counts, policy).dead_letter(messages, failed))
    left = list(range(room, count))
    assert [one.data["event"] for one in gone if isinstance(one, Message)] == list(range(min(room, count)))
    assert [one.data for one in aside.kept] == (left if is_kept else [])
    rest = Outcome.DEAD_LETTERED if is_kept else Outcome.FAILED
    assert outcome is (rest if left else Outcome.DONE)
    ends = {"errors_output": min(room, count), "dead_lettered" if is_kept else "error": len(left)}
    assert {reason: number for reason, number in counts.discarded.items() if number} == {
        reason: number for reason, number in ends.items() if number
    }


@pytest.mark.parametrize("where", ["errors", "dead_letter_handler"])
def test_a_policy_that_keeps_failed_events_is_not_plain(where: str) -> None:
    async def take(_: Sequence[object]) -> int:
        return 0

    assert FailurePolicy().is_plain
    assert not FailurePolicy(**{where: take}).is_plain  # type: ignore[arg-type] # either of the two
