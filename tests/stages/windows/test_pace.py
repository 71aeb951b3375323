"""Time goes on by the clock where it should, and never back, whatever the wall clock does."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.windows.aligned_windows import AlignedWindows, AllowedLateness, WindowSpec
from headrace.stages.windows.event_time import SECOND, SteadyClock
from headrace.stages.windows.windows import ArrivalWatermark, Bounds, EventTimeWatermark
from tests.stages.windows.windowing import BY_TEAM, found, take

JUMPS = st.lists(st.tuples(st.floats(0, 100), st.floats(-1000, 1000)))


@dataclass
class Clocks:
    """A wall clock and one that never goes back, both moved by hand."""

    wall: float = 1_000_000.0
    passed: float = 50.0

    def move(self, seconds: float, jump: float = 0.0) -> None:
        self.passed += seconds
        self.wall += seconds + jump

    def steady(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.passed)


@given(JUMPS)
def test_a_steady_clock_never_goes_back_nor_behind_either_clock(jumps: list[tuple[float, float]]) -> None:
    clocks = Clocks()
    steady = clocks.steady()
    before = steady.now()
    for seconds, jump in jumps:
        clocks.move(seconds, jump)
        now = steady.now()
        assert now >= before + int(seconds * SECOND) - 2
        assert now >= int(clocks.wall * SECOND) - 2
        before = now


def test_a_steady_clock_is_the_wall_clock_where_that_does_not_jump() -> None:
    clocks = Clocks()
    steady = clocks.steady()
    clocks.move(12.5)
    assert steady.now() == 1_000_012_500_000


def windows(size_seconds: int = 10) -> AlignedWindows:
    return AlignedWindows(
        BY_TEAM, Bounds(), WindowSpec(size_seconds * SECOND, size_seconds * SECOND), AllowedLateness(2 * SECOND)
    )


def test_windows_by_arrival_close_by_the_clock() -> None:
    clocks, made = Clocks(), windows()
    pace = ArrivalWatermark(clocks.steady())
    assert pace.wait_seconds(made) is None
    clocks.move(3)
    pace.begin(made)
    take(made, [(pace.timestamp(), "a", 1)])
    pace.taken(made)
    assert pace.wait_seconds(made) == 7
    clocks.move(6.5)
    pace.tick(made, is_blocked=False)
    assert made.results() == []
    assert pace.wait_seconds(made) == 0.5
    clocks.move(0.5)
    pace.tick(made, is_blocked=False)
    assert [row[3] for row in found(made.results())] == [1]
    assert pace.wait_seconds(made) is None


@given(JUMPS)
def test_clocks_that_jump_lose_no_event_that_comes(jumps: list[tuple[float, float]]) -> None:
    clocks, made = Clocks(), windows()
    pace = ArrivalWatermark(clocks.steady())
    for seconds, jump in jumps:
        clocks.move(seconds, jump)
        pace.begin(made)
        assert take(made, [(pace.timestamp(), "a", 1)]) == []
        pace.taken(made)
        wait = pace.wait_seconds(made)
        assert wait is not None
        assert 0 < wait <= 10
    made.close()
    assert sum(int(str(row[3])) for row in found(made.results())) == len(jumps)


def test_events_that_say_the_time_leave_windows_open_for_ever() -> None:
    clocks, made = Clocks(), windows()
    pace = EventTimeWatermark(lambda: clocks.passed, None)
    take(made, [(5 * SECOND, "a", 1)])
    pace.taken(made)
    clocks.move(10**6)
    pace.tick(made, is_blocked=False)
    assert made.results() == []
    assert pace.wait_seconds(made) is None


def test_once_no_event_has_come_for_a_while_all_the_time_that_passed_counts() -> None:
    clocks, made = Clocks(), windows()
    pace = EventTimeWatermark(lambda: clocks.passed, 3)
    take(made, [(5 * SECOND, "a", 1)])
    pace.taken(made)
    assert pace.wait_seconds(made) == 7
    clocks.move(2.5)
    pace.tick(made, is_blocked=False)
    assert made.watermark == 3 * SECOND
    clocks.move(4.25)
    pace.tick(made, is_blocked=False)
    assert made.results() == []
    assert pace.wait_seconds(made) == 0.25
    clocks.move(0.25)
    pace.tick(made, is_blocked=False)
    assert [row[3] for row in found(made.results())] == [1]
    assert pace.wait_seconds(made) is None


def test_silence_is_not_the_sources_while_no_event_could_be_taken() -> None:
    clocks, made = Clocks(), windows()
    pace = EventTimeWatermark(lambda: clocks.passed, 3)
    take(made, [(5 * SECOND, "a", 1)])
    pace.taken(made)
    for _ in range(10):
        clocks.move(6.9)
        pace.tick(made, is_blocked=True)
    assert made.results() == []
    assert pace.wait_seconds(made) == 7
    clocks.move(7)
    pace.tick(made, is_blocked=False)
    assert len(made.results()) == 1


def test_windows_by_arrival_close_though_no_event_could_be_taken() -> None:
    clocks, made = Clocks(), windows()
    pace = ArrivalWatermark(clocks.steady())
    take(made, [(pace.timestamp(), "a", 1)])
    clocks.move(10)
    pace.tick(made, is_blocked=True)
    assert len(made.results()) == 1


def test_it_waits_at_least_as_long_as_it_is_told_and_anew_after_each_event() -> None:
    clocks, made = Clocks(), windows()
    pace = EventTimeWatermark(lambda: clocks.passed, 30)
    take(made, [(11 * SECOND, "a", 1)])
    pace.taken(made)
    assert pace.wait_seconds(made) == 30
    clocks.move(29)
    pace.taken(made)
    assert pace.wait_seconds(made) == 30
    clocks.move(29)
    pace.tick(made, is_blocked=False)
    assert made.watermark == 9 * SECOND
    clocks.move(1)
    pace.tick(made, is_blocked=False)
    assert made.watermark == 39 * SECOND
