"""Events that nobody has asked for yet: in order, within the bound, and none lost without being handed back."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headrace.pipeline.demand.buffer import Buffer, KeepPolicy, Sizes

LIMITS = st.one_of(st.none(), st.integers(0, 12))
KEEPS: st.SearchStrategy[KeepPolicy] = st.sampled_from(["first", "last", "all"])


def size_of(event: int) -> int:
    return event % 7 + 1


class BufferMachine(RuleBasedStateMachine):
    """A buffer beside a plain list that does the same: events are numbers, and marks are texts among them.

    `asked` are the events for which a consumer had asked, or which were sent to one: they go beyond the bound.
    """

    def __init__(self) -> None:
        super().__init__()
        self.model: list[int | str] = []
        self.asked: set[int] = set()
        self.next = 0

    @initialize(limit=LIMITS, keep=KEEPS, most=st.one_of(st.none(), st.integers(1, 40)))
    def begin(self, limit: int | None, keep: KeepPolicy, most: int | None) -> None:
        self.limit, self.keep, self.most = limit, keep, most
        self.buffer: Buffer[int] = Buffer(limit, keep, None if most is None else Sizes(most, size_of))

    def _new(self, count: int) -> list[int]:
        first, self.next = self.next, self.next + count
        return list(range(first, self.next))

    def _events(self) -> list[int]:
        return [event for event in self.model if isinstance(event, int)]

    def _fitted(self) -> list[int]:
        """Drop from the model what goes beyond the bound, and return it: marks stay where they are."""
        left, gone = self._bounded(), list[int]()
        while self.keep != "all" and self._is_over(left):
            gone.append(left.pop(0 if self.keep == "last" else -1))
        self.model = [event for event in self.model if event not in gone]
        return gone if self.keep == "last" else gone[::-1]

    def _bounded(self) -> list[int]:
        return [event for event in self._events() if event not in self.asked]

    def _is_over(self, events: list[int]) -> bool:
        is_too_large = self.most is not None and len(events) > 1 and sum(map(size_of, events)) > self.most
        return is_too_large or (self.limit is not None and len(events) > self.limit)

    @rule(count=st.integers(0, 9), asked=st.integers(-2, 12))
    def put(self, count: int, asked: int) -> None:
        events = self._new(count)
        self.model += events
        self.asked.update(events[: max(0, asked)])
        assert self.buffer.put(list(events), 1.0, asked) == self._fitted()

    @rule(limit=LIMITS, keep=KEEPS)
    def resize(self, limit: int | None, keep: KeepPolicy) -> None:
        self.limit, self.keep = limit, keep
        assert self.buffer.resize(limit, keep) == self._fitted()

    @rule(count=st.integers(0, 5))
    def put_back(self, count: int) -> None:
        events = self._new(count)
        self.asked.update(events)
        self.buffer.put_back(list(events), 1.0)
        self.model = [*events, *self.model]

    @rule()
    def mark(self) -> None:
        self.next += 1
        self.model.append(str(self.next))
        self.buffer.add_marker(str(self.next))

    @rule()
    def reach(self) -> None:
        expected: list[int | str] = []
        while self.model and isinstance(self.model[0], str):
            expected.append(self.model.pop(0))
        assert self.buffer.take_markers() == expected

    @rule(count=st.integers(1, 15), data=st.data())
    def take(self, count: int, data: st.DataObject) -> None:
        before = next((place for place, one in enumerate(self.model) if isinstance(one, str)), len(self.model))
        expected, self.model = self.model[: min(count, before)], self.model[min(count, before) :]
        assert self.buffer.take(count)[0] == expected
        unused = expected[data.draw(st.integers(0, len(expected))) :]
        self.buffer.undo_take([event for event in unused if isinstance(event, int)])
        self.model = [*unused, *self.model]

    @invariant()
    def size_is_what_it_holds(self) -> None:
        if hasattr(self, "buffer"):
            events = self._bounded()
            assert self.buffer.size == len(self._events())
            assert self.buffer.asked == self.buffer.size - len(events)
            is_full = self.most is not None and sum(map(size_of, events)) >= self.most
            limit = 100 if self.limit is None else self.limit
            assert self.buffer.room(100) == (0 if is_full else max(0, limit - len(events)))
            assert len(self.buffer.markers) == len(self.model) - self.buffer.size


BufferMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestBuffer = BufferMachine.TestCase


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 100))), st.integers(1, 8))
def test_what_is_taken_was_born_when_its_first_event_was(chunks: list[tuple[int, float]], count: int) -> None:
    buffer: Buffer[float] = Buffer(None)
    for size, ingested_at in chunks:
        buffer.put([ingested_at] * size, ingested_at)
    while buffer.size:
        events, ingested_at = buffer.take(count)
        assert events[0] == ingested_at


def test_an_empty_buffer_gives_nothing() -> None:
    buffer: Buffer[int] = Buffer()
    assert buffer.take(5) == ([], 0.0)


@pytest.mark.parametrize("is_in_one", [True, False])
def test_a_large_buffer_is_emptied_in_time_that_grows_with_its_size_alone(is_in_one: bool) -> None:  # noqa: FBT001
    def seconds(count: int) -> float:
        buffer: Buffer[int] = Buffer(None)
        for chunk in [list(range(count))] if is_in_one else [[number] for number in range(count)]:
            buffer.put(chunk, 0.0)
        step = 1 if is_in_one else count
        begin = time.process_time()
        while buffer.size:
            buffer.take(step)
        return time.process_time() - begin

    small, large = (min(seconds(count) for _ in range(3)) for count in (2_000, 64_000))
    assert large < 32 * 6 * max(small, 1e-5)
