"""What makes two jobs one."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.errors import BadUnique
from headrace.jobs.job import NewJob, Unique
from headrace.jobs.rules.unique import ExistingJob, is_conflicting, key_of
from tests.fakes.job_clock import NOON

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
ARGS = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


@given(one=ARGS, other=ARGS)
def test_jobs_of_equal_args_have_one_key_and_others_have_not(one: dict[str, object], other: dict[str, object]) -> None:
    unique = Unique()
    is_same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key_of(NewJob("b", one), unique) == key_of(NewJob("b", other), unique)) is is_same


@given(args=ARGS)
def test_the_order_of_args_means_nothing(args: dict[str, object]) -> None:
    backwards = dict(reversed(args.items()))
    assert key_of(NewJob("b", args), Unique()) == key_of(NewJob("b", backwards), Unique())


def test_a_missing_key_is_not_null() -> None:
    unique = Unique(keys=frozenset({"a"}))
    assert key_of(NewJob("b", {}), unique) != key_of(NewJob("b", {"a": None}), unique)


def test_a_key_of_ones_own_stands_in_for_the_args() -> None:
    one, other = Unique(key="x"), Unique(key="y")
    assert key_of(NewJob("b", {"n": 1}), one) == key_of(NewJob("b", {"n": 2}), one)
    assert key_of(NewJob("b", {"n": 1}), one) != key_of(NewJob("b", {"n": 1}), other)
    assert key_of(NewJob("b", {"n": 1}), one) != key_of(NewJob("c", {"n": 1}), one)


@given(seconds=st.integers(-10, 200), period=st.integers(1, 100))
def test_a_period_ends_to_the_second(seconds: int, period: int) -> None:
    holder = ExistingJob(1, "available", NOON, NOON + timedelta(days=1))
    now = NOON + timedelta(seconds=seconds)
    assert is_conflicting(Unique(period_seconds=period), holder, now) is (seconds <= period)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"fields": frozenset({"arg"})}, "fields of a unique job is 'arg', and must be one of args, meta"),
        ({"fields": frozenset()}, "at least one of args"),
        ({"states": frozenset({"done"})}, "states of a unique job is 'done', and must be one of available"),
        ({"replace": {"scheduled": frozenset({"state"})}}, "replace of a unique job is 'state'"),
        ({"timestamp": "completed_at"}, "one of inserted_at, scheduled_at"),
        ({"keys": frozenset({"a"}), "fields": frozenset({"worker"})}, "with args or meta"),
        ({"period_seconds": 0}, "period_seconds of a unique job is 0, and must be above 0"),
    ],
)
def test_what_does_not_fit_is_refused_at_once(options: dict[str, object], told: str) -> None:
    with pytest.raises(BadUnique, match=told):
        Unique(**options)  # type: ignore[arg-type] # what is refused is of the wrong kind
