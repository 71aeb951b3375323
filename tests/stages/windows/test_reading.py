"""Events are read in columns, or one at a time where one of them is wrong."""

import pytest

from headrace.expressions import EvaluationError, compile_expression
from headrace.stages.errors import BadEvent
from headrace.stages.windows.measures import Column, ColumnReader

TEAM = Column("team", compile_expression("event.team"), is_number=False)
N = Column("n", compile_expression("event.n"), is_number=True)
AT = compile_expression("event.at")


def event(**fields: object) -> dict[str, object]:
    return {"team": "a", "n": 1, "at": 0, **fields}


def test_a_batch_is_read_at_once() -> None:
    reading = ColumnReader(AT, [TEAM], [N]).read([event(), event(team="b", n=2.5, at=1)])
    assert reading.times is not None
    assert (reading.times.each(), reading.keys, reading.rows) == ([0, 1_000_000], ["a", "b"], [1, 2.5])
    assert list(reading.positions) == [0, 1]


def test_what_is_not_asked_for_is_empty() -> None:
    reading = ColumnReader(None, [], []).read([5, None])
    assert (reading.times, reading.keys, reading.rows) == (None, [(), ()], [(), ()])


def test_several_keys_are_a_tuple() -> None:
    town = Column("town", compile_expression("default(event.town, None)"), is_number=False)
    assert ColumnReader(None, [TEAM, town], []).read([event(), event(town="x")]).keys == [("a", None), ("a", "x")]


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (event(at="never"), BadEvent, "no ISO 8601"),
        (event(team=bytearray(b"a")), BadEvent, r"the value of team is of type bytearray.*write str\(\) around it"),
        (event(n="1"), BadEvent, "the value of n is text"),
        ({"team": "a", "at": 0}, EvaluationError, "no field 'n'"),
        (None, EvaluationError, "None"),
    ],
)
def test_an_event_that_cannot_be_read_is_left_out_alone(wrong: object, error: type[Exception], said: str) -> None:
    reader, events = ColumnReader(AT, [TEAM], [N]), [event(), wrong, event(n=7)]
    with pytest.raises(error, match=said):
        reader.read(events)
    told: list[tuple[int, Exception]] = []
    reading = reader.read_each(events, lambda position, error: told.append((position, error)))
    assert [(position, type(found)) for position, found in told] == [(1, type(told[0][1]))]
    assert isinstance(told[0][1], error)
    assert (list(reading.positions), reading.rows) == ([0, 2], [1, 7])
    assert reading.times is not None
    assert reading.times.each() == [0, 0]


def test_where_none_can_be_read_nothing_is_left() -> None:
    reading = ColumnReader(AT, [TEAM], [N]).read_each([{}, None], lambda *_: None)
    assert (list(reading.positions), list(reading.keys), reading.rows) == ([], [], [])


def test_one_at_a_time_there_are_no_times_either_where_none_are_said() -> None:
    assert ColumnReader(None, [], [N]).read_each([event()], lambda *_: None).times is None


def test_values_that_can_be_told_apart_may_be_of_any_kind() -> None:
    keys = ColumnReader(None, [TEAM], []).read([event(team=(1, 2)), event(team=None), event(team=2.5)]).keys
    assert keys == [(1, 2), None, 2.5]
