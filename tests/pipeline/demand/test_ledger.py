"""The producer's side: no event is asked of it twice."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.demand.ledger import Ledger


@given(st.data())
def test_what_is_told_and_not_emitted_never_exceeds_what_was_missed_at_some_time(data: st.DataObject) -> None:
    ledger, unmet, told, paid, most = Ledger(), 0, 0, 0, 0
    for _ in range(40):
        unmet = data.draw(st.integers(0, 100))
        most = max(most, unmet)
        demand = ledger.report(unmet)
        assert demand == max(0, unmet - (told - paid))
        told += demand
        assert ledger.owed == told - paid
        assert ledger.owed <= most
        emitted = data.draw(st.integers(0, 120))
        paid += min(emitted, told - paid)
        ledger.emitted(emitted)
        assert ledger.owed == told - paid >= 0


@given(st.integers(1, 100), st.integers(0, 100))
def test_what_is_owed_is_not_told_again(unmet: int, later: int) -> None:
    ledger = Ledger()
    assert ledger.report(unmet) == unmet
    assert ledger.report(unmet) == 0
    assert ledger.report(unmet + later) == later


def test_the_demand_of_a_consumer_that_left_is_owed_to_the_next() -> None:
    """D5: told 10, emitted 4; the next consumer misses 9."""
    ledger = Ledger()
    ledger.report(10)
    ledger.emitted(4)
    assert ledger.report(0) == 0
    assert ledger.report(9) == 3


def test_what_is_taken_back_is_told_anew() -> None:
    ledger = Ledger()
    ledger.report(10)
    ledger.emitted(6)
    ledger.withdraw(3)
    assert ledger.owed == 1
    assert ledger.report(4) == 3


def test_a_successor_is_told_all_anew() -> None:
    ledger = Ledger()
    ledger.report(10)
    ledger.forget()
    assert ledger.report(10) == 10
