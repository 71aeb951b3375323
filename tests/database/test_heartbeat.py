"""Owners die by the heartbeats that they miss, counted in those of ours."""

import os

from hypothesis import given
from hypothesis import strategies as st

from headrace.database.heartbeat import MISSED_HEARTBEATS, Heartbeats


def test_an_owner_is_dead_once_it_has_missed_its_heartbeats() -> None:
    heartbeats = Heartbeats[None]()
    for _ in range(MISSED_HEARTBEATS):
        heartbeats.observe({"theirs": 3})
    assert heartbeats.dead({"theirs": 3}) == []
    heartbeats.observe({"theirs": 3})
    assert heartbeats.dead({"theirs": 3}) == ["theirs"]


def test_an_owner_that_wrote_one_at_the_last_moment_lives() -> None:
    heartbeats = Heartbeats[None]()
    for _ in range(MISSED_HEARTBEATS + 1):
        heartbeats.observe({"theirs": 3})
    assert heartbeats.dead({"theirs": 4}) == []
    assert heartbeats.dead({}) == []


def test_owners_of_this_process_are_never_dead_until_they_leave() -> None:
    heartbeats = Heartbeats[str]()
    heartbeats.join("mine", "a row")
    for _ in range(MISSED_HEARTBEATS + 1):
        heartbeats.observe({"mine": 1})
    assert heartbeats.dead({"mine": 1}) == []
    heartbeats.leave("mine")
    assert heartbeats.dead({"mine": 1}) == ["mine"]


def test_a_forked_child_has_no_owners_of_its_own() -> None:
    heartbeats = Heartbeats[str]()
    heartbeats.join("mine", "a row")
    assert heartbeats.ours == {"mine": "a row"}
    child = os.fork()
    if child == 0:
        os._exit(0 if heartbeats.ours == {} and "mine" in heartbeats else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@given(st.lists(st.booleans(), max_size=30))
def test_an_owner_is_dead_exactly_after_that_many_silent_ones(beats: list[bool]) -> None:
    heartbeats, count, silent = Heartbeats[None](), 0, -1
    for is_beating in beats:
        silent, count = (0, count + 1) if is_beating or silent < 0 else (silent + 1, count)
        heartbeats.observe({"theirs": count})
        assert heartbeats.dead({"theirs": count}) == (["theirs"] if silent >= MISSED_HEARTBEATS else [])
