"""One answer for each event: told once, when the last descendant ended, with the worst outcome."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.message import (
    NO_ACKNOWLEDGEMENT,
    Acknowledgement,
    JoinedAcknowledgement,
    Outcome,
)

OUTCOMES = st.sampled_from(Outcome)


@given(st.lists(OUTCOMES, min_size=1))
def test_the_worst_outcome_of_all_descendants_is_told_once_at_the_last(outcomes: list[Outcome]) -> None:
    told: list[Outcome] = []
    acknowledgement = Acknowledgement(told.append)
    acknowledgement.add(len(outcomes) - 1)
    for outcome in outcomes:
        assert told == []
        acknowledgement.end(outcome)
    assert told == [max(outcomes)]


@given(st.data())
def test_descendants_of_descendants_count_too(data: st.DataObject) -> None:
    told: list[Outcome] = []
    acknowledgement, living, seen = Acknowledgement(told.append), 1, Outcome.DONE
    for _ in range(50):
        children = data.draw(st.integers(0, 3) if living < 10 else st.just(0))
        outcome = data.draw(OUTCOMES)
        acknowledgement.add(children)
        acknowledgement.end(outcome)
        seen = max(seen, outcome)
        living += children - 1
        assert told == ([] if living else [seen])
        if not living:
            return


def test_a_descendant_that_comes_too_late_does_not_make_it_tell_again() -> None:
    told: list[Outcome] = []
    acknowledgement = Acknowledgement(told.append)
    acknowledgement.end(Outcome.DONE)
    acknowledgement.add(1)
    acknowledgement.end(Outcome.FAILED)
    assert told == [Outcome.DONE]


def test_every_parent_hears_of_what_came_of_all_of_them() -> None:
    told: list[tuple[str, Outcome]] = []
    first = Acknowledgement(lambda outcome: told.append(("first", outcome)))
    second = Acknowledgement(lambda outcome: told.append(("second", outcome)))
    joined = JoinedAcknowledgement([first, second])
    joined.add(1)
    first.end(Outcome.DONE)
    second.end(Outcome.DONE)
    assert told == []
    joined.end(Outcome.FAILED)
    assert told == [("first", Outcome.FAILED), ("second", Outcome.FAILED)]


def test_a_source_that_raises_when_it_is_told_ends_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Outcome) -> None:
        raise KeyError("source")

    Acknowledgement(broken).end(Outcome.DONE)
    assert [record.message for record in caplog.records] == ["telling a source the outcome of an event failed"]


def test_for_a_plain_event_nobody_waits() -> None:
    NO_ACKNOWLEDGEMENT.add(3)
    NO_ACKNOWLEDGEMENT.end(Outcome.FAILED)
