"""The consumer's side: what is coming stays within its bounds, whatever is delivered."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import DemandError
from headrace.pipeline.demand.window import ManualWindow, Window, checked


@dataclass(frozen=True)
class Bounds:
    most: int
    least: int


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    most = draw(st.integers(1, 50))
    return Bounds(most, draw(st.integers(0, most - 1)))


@given(bounds(), st.data())
def test_every_ask_is_between_one_and_max_demand_and_never_more_is_coming(within: Bounds, data: st.DataObject) -> None:
    window = Window(within.most, within.least)
    assert window.open() == window.outstanding == within.most
    for _ in range(40):
        size = data.draw(st.integers(1, min(window.outstanding, window.batch_size)))
        left = window.outstanding - size
        ask = window.handled(size)
        assert ask == (within.most - left if left <= within.least else 0)
        assert 0 <= ask <= within.most
        assert window.outstanding == left + ask
        assert within.least < window.outstanding <= within.most


@given(bounds(), st.lists(st.integers(1, 50)))
def test_what_was_asked_and_not_handled_is_coming(within: Bounds, sizes: list[int]) -> None:
    window = Window(within.most, within.least)
    asked, handled = window.open(), 0
    for wanted in sizes:
        size = min(wanted, window.outstanding)
        asked += window.handled(size)
        handled += size
        assert window.outstanding == asked - handled


@given(bounds(), st.integers(0, 50))
def test_opening_again_asks_only_for_what_is_not_coming(within: Bounds, handled: int) -> None:
    window = Window(within.most, within.least)
    window.open()
    window.handled(min(handled, within.most))
    missing = within.most - window.outstanding
    assert window.open() == missing
    assert window.open() == 0


@given(st.integers(1, 10_000))
def test_min_demand_is_half_of_max_demand_unless_it_is_said(most: int) -> None:
    window = Window(most)
    assert (window.min_demand, window.batch_size) == (most // 2, most - most // 2)


@pytest.mark.parametrize("odd", ["10", 1.5, True])
def test_demand_is_counted_in_whole_numbers(odd: Any) -> None:
    for ask in (lambda: Window(odd), lambda: Window(10, odd), lambda: ManualWindow(10).ask(odd), lambda: checked(odd)):
        with pytest.raises(DemandError, match="must be a whole number"):
            ask()


@given(st.integers(-5, 20), st.integers(-5, 20))
def test_bounds_that_do_not_fit_are_refused(most: int, least: int) -> None:
    if most >= 1 and 0 <= least < most:
        assert Window(most, least).max_demand == most
    else:
        with pytest.raises(DemandError) as caught:
            Window(most, least)
        assert caught.value.option == ("max_demand" if most < 1 else "min_demand")


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 20))
def test_a_window_that_was_lowered_and_is_opened_anew_takes_nothing_back(former: int, most: int, handled: int) -> None:
    """A consumer that restarts opens the windows that it has; more than the new bound may still be on its way."""
    before = Window(former, 0)
    before.open()
    before.outstanding -= min(handled, former)
    window = Window(most, 0).resumed_at(before.outstanding)
    assert window.open() == max(0, most - before.outstanding)
    assert window.outstanding == max(most, before.outstanding)
