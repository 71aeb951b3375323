"""Count windows hold so many events of a group each."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.windows.event_time import timestamp_text
from headrace.stages.windows.group_windows import CountWindows
from headrace.stages.windows.windows import MAX_TIMESTAMP, Bounds
from tests.stages.windows.windowing import BY_TEAM, Event, found, take

EVENTS = st.lists(st.tuples(st.integers(0, 50), st.sampled_from("abc"), st.integers(-9, 9)), max_size=40)
SIZES = st.lists(st.integers(0, 9), max_size=12)


@given(EVENTS, SIZES, st.integers(1, 7))
def test_every_window_is_full_but_the_last_of_each_group(events: list[Event], sizes: list[int], size: int) -> None:
    made = CountWindows(BY_TEAM, Bounds(), size)
    assert take(made, events, sizes) == []
    full = found(made.results())
    made.close()
    rest = found(made.results())
    for team in "abc":
        mine = [n for _, name, n in events if name == team]
        whole = len(mine) // size
        assert [row[3] for row in full if row[2] == team] == [size] * whole
        assert sum(int(str(row[4])) for row in full if row[2] == team) == sum(mine[: whole * size])
        assert [row[3:5] for row in rest if row[2] == team] == (
            [(len(mine) % size, sum(mine[whole * size :]))] if len(mine) % size else []
        )


@given(EVENTS, SIZES, st.integers(2, 7), st.integers(1, 2))
def test_what_is_kept_never_passes_its_bound_and_no_event_is_forgotten(
    events: list[Event], sizes: list[int], size: int, most: int
) -> None:
    made = CountWindows(BY_TEAM, Bounds(groups=most), size)
    begin = 0
    for count in [*sizes, len(events)]:
        take(made, events[begin : begin + count])
        begin += count
        assert made.statistics().groups <= most
    made.close()
    results = found(made.results())
    assert sum(int(str(row[3])) for row in results) == len(events)
    assert all(int(str(row[3])) <= size for row in results)


def test_its_bounds_are_the_times_of_its_first_and_last_event() -> None:
    made = CountWindows(BY_TEAM, Bounds(), 3)
    take(made, [(20, "a", 1), (7, "a", 1), (11, "a", 1)])
    assert [row[:2] for row in found(made.results())] == [(timestamp_text(7), timestamp_text(20))]
    assert made.next_end() == MAX_TIMESTAMP


def test_no_time_closes_it() -> None:
    made = CountWindows(BY_TEAM, Bounds(), 3)
    take(made, [(20, "a", 1)])
    made.advance(10**15)
    assert made.results() == []
    assert made.retained() == 1
