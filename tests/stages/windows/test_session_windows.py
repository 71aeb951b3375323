"""Sessions hold what is near to each other, however it comes."""

import random

from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.windows.event_time import timestamp_text
from headrace.stages.windows.group_windows import SessionWindows
from headrace.stages.windows.measures import GroupState
from headrace.stages.windows.windows import MAX_TIMESTAMP, Bounds
from tests.stages.windows.windowing import BY_TEAM, Event, found, sessions, take

EVENTS = st.lists(st.tuples(st.integers(0, 120), st.sampled_from("ab"), st.integers(-9, 9)), max_size=40)
SIZES = st.lists(st.integers(0, 9), max_size=12)


@given(EVENTS, SIZES, st.integers(1, 30), st.randoms(use_true_random=False))
def test_sessions_are_those_of_the_events_in_the_order_of_their_times(
    events: list[Event], sizes: list[int], gap: int, dice: random.Random
) -> None:
    shuffled = list(events)
    dice.shuffle(shuffled)
    made = SessionWindows(BY_TEAM, Bounds(), gap, out_of_order=200)
    assert take(made, shuffled, sizes) == []
    made.close()
    assert found(made.results()) == sorted(
        (timestamp_text(first), timestamp_text(end), team, count, total, 1)
        for (first, end, team), (count, total) in sessions(gap, events).items()
    )


@given(EVENTS, SIZES, st.integers(1, 30), st.integers(0, 30))
def test_every_event_is_in_one_session_or_late_whatever_its_batch(
    events: list[Event], sizes: list[int], gap: int, out_of_order: int
) -> None:
    one, other = (SessionWindows(BY_TEAM, Bounds(), gap, out_of_order) for _ in range(2))
    late = take(one, events, sizes)
    assert take(other, events) == late
    one.close()
    other.close()
    results = found(one.results())
    assert results == found(other.results())
    assert sum(int(str(row[3])) for row in results) + len(late) == len(events)


@given(EVENTS, SIZES, st.integers(1, 30), st.integers(1, 4))
def test_what_is_kept_never_passes_its_bound_and_no_event_is_forgotten(
    events: list[Event], sizes: list[int], gap: int, most: int
) -> None:
    made = SessionWindows(BY_TEAM, Bounds(groups=most), gap, out_of_order=200)
    begin = 0
    for size in [*sizes, len(events)]:
        assert take(made, events[begin : begin + size]) == []
        begin += size
        assert made.statistics().groups <= most
        assert len(made._heap) <= 2 * most + 64
    made.close()
    assert sum(int(str(row[3])) for row in found(made.results())) == len(events)
    assert made.statistics().groups == 0


@given(st.lists(st.lists(st.integers(-9, 9), max_size=5), min_size=3, max_size=3))
def test_it_makes_no_difference_which_of_three_sessions_are_merged_first(parts: list[list[int]]) -> None:
    def cell(values: list[int], *, is_folded: bool) -> GroupState:
        made = GroupState(BY_TEAM.accumulators())
        made.rows.extend(values)
        if is_folded:
            BY_TEAM.fold(made)
        return made

    results = []
    for is_folded in (True, False):
        left, middle, right = (cell(part, is_folded=is_folded) for part in parts)
        middle.merge(right)
        left.merge(middle)
        one, two, three = (cell(part, is_folded=is_folded) for part in parts)
        one.merge(two)
        one.merge(three)
        for merged in (left, one):
            (result,) = BY_TEAM.results(0, 1, {"a": merged})
            results.append((result["n"], result["sum"]))
    assert set(results) == {(sum(map(len, parts)), sum(map(sum, parts)))}


def test_a_gap_of_full_length_ends_a_session_and_a_shorter_one_does_not() -> None:
    made = SessionWindows(BY_TEAM, Bounds(), gap=10)
    take(made, [(0, "a", 1), (9, "a", 1), (19, "a", 1)])
    assert [row[:4] for row in found(made.results())] == [(timestamp_text(0), timestamp_text(19), "a", 2)]
    assert made.next_end() == 29
    made.advance(29)
    assert [row[:4] for row in found(made.results())] == [(timestamp_text(19), timestamp_text(29), "a", 1)]
    assert made.next_end() == MAX_TIMESTAMP


def test_an_event_between_two_sessions_makes_them_one() -> None:
    made = SessionWindows(BY_TEAM, Bounds(), gap=10, out_of_order=100)
    take(made, [(0, "a", 1), (18, "a", 2), (18, "b", 5)])
    assert made.statistics().groups == 3
    take(made, [(9, "a", 4)])
    assert made.statistics().groups == 2
    made.close()
    assert sorted(row[2:5] for row in found(made.results())) == [("a", 3, 7), ("b", 1, 5)]


def test_an_event_is_late_only_if_its_session_has_ended() -> None:
    made = SessionWindows(BY_TEAM, Bounds(), gap=10)
    take(made, [(0, "a", 1), (9, "a", 1), (15, "b", 1)])
    assert take(made, [(3, "a", 1), (3, "b", 1), (6, "b", 1)]) == [1]


def test_many_merges_leave_no_garbage() -> None:
    made = SessionWindows(BY_TEAM, Bounds(), gap=10, out_of_order=10**6)
    for begin in range(0, 20_000, 20):
        take(made, [(begin, "a", 1), (begin + 15, "a", 1), (begin + 7, "a", 1)])
        assert len(made._heap) <= 2 * made.statistics().groups + 65
