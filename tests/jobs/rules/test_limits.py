"""The room that limits leave, in plain numbers."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.rules.limits import (
    Capacity,
    GlobalLimit,
    QueueLimits,
    RateLimit,
    partition_key,
    partition_of,
    within,
)
from tests.fakes.job_records import a_job

PARTITIONS = st.sampled_from(["a", "b", "c", "d"])
BY = "args.customer"
NOON = 1_795_521_600.0


@given(
    at_once=st.integers(1, 5),
    tokens=st.integers(1, 5),
    running=st.dictionaries(PARTITIONS, st.integers(0, 7)),
    waiting=st.lists(PARTITIONS, max_size=40),
    count=st.integers(0, 20),
)
def test_what_is_chosen_fits_and_what_is_left_has_no_room(
    at_once: int, tokens: int, running: dict[str, int], waiting: list[str], count: int
) -> None:
    limits = QueueLimits(GlobalLimit(at_once, BY), RateLimit(tokens, 60, partition=BY))
    room = Capacity(limits, running, {}, NOON)
    chosen = within(room, [(name, number) for number, name in enumerate(waiting)], count)
    started = Counter(waiting[number] for number in chosen)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= count
    assert all(number <= min(tokens, max(0, at_once - running.get(name, 0))) for name, number in started.items())
    if len(chosen) < count:
        left = {name for number, name in enumerate(waiting) if number not in set(chosen)}
        assert all(room.of(name) == 0 for name in left)


@given(running=st.integers(0, 9), wanted=st.integers(0, 30))
def test_limits_without_a_partition_are_known_before_any_job_is_looked_at(running: int, wanted: int) -> None:
    room = Capacity(QueueLimits(GlobalLimit(6), RateLimit(3, 60)), {"": running}, {}, NOON)
    count = room.at_most(wanted)
    assert count == min(wanted, room.of(""))
    room.take("", count)
    assert room.at_most(wanted) == min(wanted, room.of(""))
    assert room.of("") == min(3, max(0, 6 - running)) - count


def test_buckets_that_nothing_was_taken_of_are_left_as_they_are() -> None:
    limits = QueueLimits(None, RateLimit(10, 10, partition=BY))
    room = Capacity(limits, {}, {"a": NOON + 5, "b": NOON + 5}, NOON)
    room.take("a", 2)
    assert room.changed() == {"a": NOON + 7}


def test_a_bucket_from_before_the_clock_was_set_back_is_empty_at_worst() -> None:
    room = Capacity(QueueLimits(None, RateLimit(10, 10)), {}, {"": NOON + 3600}, NOON)
    assert room.at_most(5) == 0
    assert room.changed() == {"": NOON + 10}


def test_a_queue_without_limits_has_endless_room() -> None:
    room = Capacity(QueueLimits(), {}, {}, NOON)
    assert room.at_most(1000) == 1000
    assert room.of("a") > 10**9
    assert room.changed() == {}


@pytest.mark.parametrize(
    ("partition", "key"),
    [
        (None, ""),
        ("worker", '"shop.build"'),
        ("args.customer", '"ann"'),
        ("args.order.id", "7"),
        ("args.order.none", "null"),
        ("args.customer.id", "null"),
        ("meta.customer", "null"),
    ],
)
def test_a_job_is_in_the_partition_of_what_stands_at_the_path(partition: str | None, key: str) -> None:
    assert partition_of(a_job(customer="ann", order={"id": 7}), partition) == key


def test_values_that_sqlite_does_not_tell_apart_are_one_partition() -> None:
    assert partition_key(1) == partition_key(1.0) == partition_key(True) != partition_key("1")
