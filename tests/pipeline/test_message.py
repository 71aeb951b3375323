"""Messages: what is derived, claimed and settled."""

from headrace.pipeline.message import (
    NO_ACKNOWLEDGEMENT,
    Acknowledgement,
    Message,
    Outcome,
    acknowledge,
    add_pending,
    as_messages,
)


def _message(told: list[Outcome], data: str = "parent") -> Message[str]:
    return Message(data, {"from": data}, Acknowledgement(told.append))


def test_what_is_derived_keeps_metadata_and_acknowledgement_and_begins_at_its_first_attempt() -> None:
    parent = _message([]).redeliver()
    child = parent.derive(1)
    assert (child.data, child.metadata, child.acknowledgement) == (1, {"from": "parent"}, parent.acknowledgement)
    assert (parent.attempt, child.attempt) == (2, 1)


def test_a_child_of_many_parents_holds_all_of_them_back_and_one_of_the_same_twice_only_once() -> None:
    told: list[Outcome] = []
    others: list[Outcome] = []
    parent, other = _message(told), _message(others, "other")
    child = parent.derive("child", other, parent, other)
    add_pending([child])
    acknowledge([parent, other], Outcome.DONE)
    assert (told, others) == ([], [])
    acknowledge([child], Outcome.FAILED)
    assert (told, others) == ([Outcome.FAILED], [Outcome.FAILED])


def test_grandchildren_of_many_parents_hold_all_of_them_back() -> None:
    told: list[Outcome] = []
    first, second = _message(told), _message(told)
    grandchild = first.derive("a", second).derive("b", first.derive("c"))
    add_pending([grandchild])
    acknowledge([first, second], Outcome.DONE)
    assert told == []
    acknowledge([grandchild], Outcome.DONE)
    assert told == [Outcome.DONE, Outcome.DONE]


def test_plain_events_are_wrapped_and_messages_stay_what_they_are() -> None:
    message = _message([])
    wrapped = as_messages([message, 7])
    assert wrapped == [message, Message(7, {}, NO_ACKNOWLEDGEMENT)]
    assert wrapped[0] is message


def test_claims_and_settlements_pass_plain_events_over() -> None:
    told: list[Outcome] = []
    events: list[object] = [1, _message(told), None]
    add_pending(events)
    acknowledge(events, Outcome.DONE)
    assert told == []
    acknowledge(events, Outcome.FAILED)
    assert told == [Outcome.FAILED]
