"""A window whose events are children: the finished are counted, and asked for anew."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.demand.window import ChildrenWindow

bounds = st.integers(1, 50).flatmap(lambda most: st.tuples(st.just(most), st.integers(0, most - 1)))


@given(bounds, st.lists(st.integers(1, 10)))
def test_no_more_children_live_than_max_demand_whatever_finishes(bound: tuple[int, int], finished: list[int]) -> None:
    most, least = bound
    window = ChildrenWindow(most, least)
    living, asked = 0, window.open()
    assert asked == most
    for some in finished:
        living, asked = living + asked, 0
        size = min(some, living)
        living -= size
        asked = window.handled(size)
        assert living + asked <= window.outstanding <= most


@given(bounds)
def test_it_asks_once_as_many_have_finished_as_min_demand_says(bound: tuple[int, int]) -> None:
    most, least = bound
    window = ChildrenWindow(most, least)
    window.open()
    asks = [window.handled(1) for _ in range(max(1, least))]
    assert asks == [0] * (len(asks) - 1) + [len(asks)]
    assert window.outstanding == most


def test_it_counts_the_finished_and_not_what_is_still_coming() -> None:
    window = ChildrenWindow(10, 2)
    window.open()
    assert [window.handled(1) for _ in range(4)] == [0, 2, 0, 2]


def test_a_smaller_bound_is_reached_by_asking_for_nothing() -> None:
    window = ChildrenWindow(4, 2)
    window.resumed_at(10)
    assert window.missing() == 0
    assert [window.handled(1) for _ in range(9)] == [0, 0, 0, 0, 0, 0, 0, 2, 0]
