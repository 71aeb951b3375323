"""Tumbling and hopping windows take each event once or as often as they overlap, whatever its batch and its order."""

import random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.windows.aligned_windows import AlignedWindows, AllowedLateness, WindowSpec
from headrace.stages.windows.event_time import Timestamps, timestamp_text
from headrace.stages.windows.measures import Measure, MeasurePlan
from headrace.stages.windows.windows import MAX_TIMESTAMP, Bounds
from tests.stages.windows.windowing import BY_TEAM, Event, aligned, found, take

TUMBLING = WindowSpec(10, 10)
GRIDS = st.sampled_from(
    [
        TUMBLING,
        WindowSpec(10, 5),
        WindowSpec(10, 3),
        WindowSpec(7, 7),
        WindowSpec(9, 2),
        WindowSpec(1, 1),
        WindowSpec(10, 10, 4),
        WindowSpec(9, 2, 1),
    ]
)
EVENTS = st.lists(st.tuples(st.integers(-40, 100), st.sampled_from("ab"), st.integers(-9, 9)), max_size=40)
SIZES = st.lists(st.integers(0, 9), max_size=12)


ON_TIME: Final = AllowedLateness()
UNBOUNDED: Final = Bounds()


def windows(
    spec: WindowSpec = TUMBLING, allowed: AllowedLateness = ON_TIME, bounds: Bounds = UNBOUNDED
) -> AlignedWindows:
    return AlignedWindows(BY_TEAM, bounds, spec, allowed)


def told(results: dict[tuple[int, int, str], tuple[int, int]]) -> list[tuple[object, ...]]:
    return sorted(
        (timestamp_text(start), timestamp_text(end), team, count, total, 1)
        for (start, end, team), (count, total) in results.items()
    )


@given(EVENTS, SIZES, GRIDS, st.integers(0, 30))
def test_batches_make_no_difference_and_each_event_is_judged_by_those_before_it(
    events: list[Event], sizes: list[int], spec: WindowSpec, out_of_order: int
) -> None:
    allowed = AllowedLateness(out_of_order)
    made = windows(spec, allowed)
    late = take(made, events, sizes)
    made.close()
    plain = aligned(spec, allowed, events)
    assert late == plain.late
    assert found(made.results()) == told(plain.results)


@given(EVENTS, SIZES, GRIDS, st.randoms(use_true_random=False))
def test_the_order_of_events_that_are_on_time_makes_no_difference(
    events: list[Event], sizes: list[int], spec: WindowSpec, dice: random.Random
) -> None:
    allowed = AllowedLateness(out_of_order=140)
    shuffled = list(events)
    dice.shuffle(shuffled)
    one, other = windows(spec, allowed), windows(spec, allowed)
    assert take(one, events) == []
    assert take(other, shuffled, sizes) == []
    one.close()
    other.close()
    assert found(one.results()) == found(other.results())


@given(EVENTS, SIZES)
def test_every_event_is_in_one_tumbling_window_or_late(events: list[Event], sizes: list[int]) -> None:
    made = windows()
    late = take(made, events, sizes)
    made.close()
    assert sum(int(str(result["n"])) for result in made.results()) + len(late) == len(events)


@given(EVENTS, SIZES, st.sampled_from([(10, 5), (12, 3), (8, 1)]))
def test_every_event_that_is_on_time_is_in_as_many_hopping_windows_as_overlap(
    events: list[Event], sizes: list[int], shape: tuple[int, int]
) -> None:
    size, every = shape
    made = windows(WindowSpec(size, every), AllowedLateness(out_of_order=140))
    take(made, events, sizes)
    made.close()
    assert sum(int(str(result["n"])) for result in made.results()) == len(events) * size // every


@given(EVENTS, SIZES, st.integers(0, 20), st.integers(1, 40))
def test_a_window_is_revised_as_long_as_it_may_be(
    events: list[Event], sizes: list[int], out_of_order: int, lateness: int
) -> None:
    allowed = AllowedLateness(out_of_order, lateness)
    made = windows(TUMBLING, allowed)
    late = take(made, events, sizes)
    made.close()
    plain = aligned(TUMBLING, allowed, events)
    assert late == plain.late
    last: dict[tuple[object, ...], tuple[object, ...]] = {}
    for row in found(made.results()):
        key, revision = row[:3], row[5]
        assert revision == (int(str(last[key][5])) + 1 if key in last else 1)
        last[key] = row
    assert sorted((*row[:5], 1) for row in last.values()) == told(plain.results)


@given(EVENTS, SIZES, GRIDS, st.builds(Bounds, st.integers(1, 6), st.integers(5, 8)), st.integers(0, 30))
def test_what_is_kept_never_passes_its_bounds_and_no_event_is_forgotten(
    events: list[Event], sizes: list[int], spec: WindowSpec, bounds: Bounds, lateness: int
) -> None:
    made = windows(spec, AllowedLateness(5, lateness), bounds)
    late = 0
    begin = 0
    for size in [*sizes, len(events)]:
        late += len(take(made, events[begin : begin + size]))
        begin += size
        kept = made.statistics()
        assert kept.windows <= bounds.windows
        assert kept.groups <= bounds.groups + bounds.windows
    taken = made.retained()
    made.close()
    assert made.statistics().groups == 0 == made.statistics().windows
    last: dict[tuple[object, ...], int] = {}
    for row in found(made.results()):
        last[row[:3]] = int(str(row[3]))
    if spec.most == 1:
        assert sum(last.values()) + late == len(events)
    assert taken <= len(events)


def test_groups_for_which_there_is_no_room_are_one_and_totals_stay_right() -> None:
    made = AlignedWindows(BY_TEAM, Bounds(groups=2), TUMBLING, AllowedLateness())
    take(made, [(n, "abcdc"[n], 1) for n in range(5)])
    made.close()
    assert [(row[2], row[3]) for row in found(made.results())] == [("a", 1), ("b", 1), ("overflow", 3)]


def test_with_several_keys_each_of_them_says_overflow() -> None:
    plan = MeasurePlan(["team", "town"], {"n": Measure("count")})
    made = AlignedWindows(plan, Bounds(groups=1), TUMBLING, AllowedLateness())
    made.take(Timestamps([1, 2, 3]), [("a", "x"), ("a", "y"), ("b", "z")], [(), (), ()])
    made.close()
    groups = [(result["team"], result["town"], result["n"]) for result in made.results()]
    assert groups == [("a", "x", 1), ("overflow", "overflow", 2)]


def test_a_window_too_many_closes_the_oldest_for_good() -> None:
    made = windows(TUMBLING, AllowedLateness(out_of_order=1000), Bounds(windows=2))
    assert take(made, [(5, "a", 1), (15, "a", 1)]) == []
    assert made.results() == []
    assert take(made, [(25, "a", 1), (7, "a", 1)], [1]) == [1]
    assert [row[:4] for row in found(made.results())] == [(timestamp_text(0), timestamp_text(10), "a", 1)]
    assert made.statistics().closed_early == 1
    assert made.statistics().windows == 2


def test_a_window_opens_with_its_start_and_closes_with_its_end() -> None:
    made = windows()
    take(made, [(0, "a", 1), (9, "a", 1)])
    assert (made.results(), made.next_end()) == ([], 10)
    take(made, [(10, "a", 1)])
    assert [row[3] for row in found(made.results())] == [2]
    assert take(made, [(9, "a", 1), (10, "a", 1)]) == [0]
    made.advance(19)
    assert (made.results(), made.next_end()) == ([], 20)
    made.advance(20)
    assert [row[3] for row in found(made.results())] == [2]
    assert made.next_end() == MAX_TIMESTAMP


def test_a_watermark_never_goes_back() -> None:
    made = windows()
    made.advance(50)
    made.advance(10)
    assert take(made, [(45, "a", 1), (50, "a", 1)]) == [0]


def test_results_come_oldest_first_and_keep_the_order_of_their_groups() -> None:
    made = windows(TUMBLING, AllowedLateness(out_of_order=100))
    take(made, [(15, "b", 1), (3, "z", 1), (12, "a", 1), (1, "b", 1)])
    made.close()
    assert [(result["window_start"], result["team"]) for result in made.results()] == [
        (timestamp_text(0), "z"),
        (timestamp_text(0), "b"),
        (timestamp_text(10), "b"),
        (timestamp_text(10), "a"),
    ]


@pytest.mark.parametrize("groups", [1, 300])
def test_rows_that_wait_are_bounded(groups: int) -> None:
    made = windows(WindowSpec(1_000_000, 1_000_000))
    for begin in range(0, 60_000, 1_000):
        take(made, [(at, f"team {at % groups}", 1) for at in range(begin, begin + 1_000)])
        assert sum(len(cell.rows) for cell in made._cells()) <= 11_000
    assert made.retained() == 60_000
    made.close()
    assert sum(int(str(result["sum"])) for result in made.results()) == 60_000
