"""Changes of gauges become values, and no more gauges are remembered than allowed."""

from headrace.stages.statsd import Gauges


def test_a_gauge_changes_from_where_it_stands() -> None:
    gauges = Gauges()
    assert gauges.set("heat", {}, 20) == 20
    assert gauges.change("heat", {}, 1.5) == 21.5
    assert gauges.change("heat", {}, -2) == 19.5


def test_a_gauge_that_was_never_set_stands_at_0() -> None:
    assert Gauges().change("heat", {}, -2) == -2


def test_gauges_of_other_tags_are_others_in_whatever_order_those_come() -> None:
    gauges = Gauges()
    gauges.set("heat", {"room": "a", "floor": "1"}, 20)
    assert gauges.change("heat", {"room": "b", "floor": "1"}, 1) == 1
    assert gauges.change("heat", {"floor": "1", "room": "a"}, 1) == 21


def test_beyond_the_limit_a_change_has_no_value_and_known_gauges_go_on() -> None:
    gauges = Gauges(limit=1)
    gauges.set("a", {}, 1)
    assert gauges.set("b", {}, 5) == 5
    assert gauges.change("b", {}, 1) is None
    assert gauges.change("a", {}, 1) == 2
