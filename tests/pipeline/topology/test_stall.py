"""Stages that hold the others are found, and named with why."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.topology.stall import ProgressSample, Stall, StallDetector
from headrace.pipeline.topology.topology import Topology
from tests.fakes.failing_stages import Kept
from tests.fakes.flow_stages import Numbers, Pass
from tests.fakes.stepping import until


def standings(*stages: tuple[str, int, int, str | None]) -> dict[str, ProgressSample]:
    return {name: ProgressSample(done, waiting, "busy", (of,) if of else ()) for name, done, waiting, of in stages}


def test_the_last_stage_that_stands_still_holds_those_before_it() -> None:
    watch = StallDetector(10.0)
    now = standings(
        ("source", 5, 3, None), ("middle", 5, 2, "source"), ("sink", 4, 1, "middle"), ("other", 9, 0, "source")
    )
    assert watch.check(0.0, now) == {}
    assert watch.check(9.9, now) == {}
    assert watch.check(10.0, now) == {"sink": Stall("sink", 10.0, 1, "busy", ("middle", "source"))}


def test_progress_ends_a_stall_and_so_does_having_nothing_to_do() -> None:
    watch = StallDetector(10.0)
    watch.check(0.0, standings(("a", 1, 5, None)))
    assert "a" in watch.check(10.0, standings(("a", 1, 5, None)))
    assert watch.check(11.0, standings(("a", 2, 4, None))) == {}
    assert watch.check(20.9, standings(("a", 2, 4, None))) == {}
    assert "a" in watch.check(21.0, standings(("a", 2, 4, None)))
    assert watch.check(22.0, standings(("a", 2, 0, None))) == {}
    assert watch.check(23.0, standings(("a", 2, 1, None))) == {}


def test_the_sentence_names_the_stage_the_time_and_what_to_do() -> None:
    assert str(Stall("sink", 61.2, 512, "busy", ("map", "source"))) == (
        "stage 'sink' has done nothing for 61 s with 512 events waiting, and holds 'map', 'source'; "
        "its callback has not returned: look at what it waits for, or give the stage a timeout"
    )


@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), max_size=30))
def test_a_stage_that_goes_on_in_time_is_never_a_stall(steps: list[list[int]]) -> None:
    watch, done = StallDetector(5.0), [0, 0, 0]
    for at, step in enumerate(steps):
        done = [before + more for before, more in zip(done, step, strict=True)]
        found = watch.check(float(at), standings(*((str(n), done[n], 1, None) for n in range(3))))
        for n in range(3):
            recent = [one[n] for one in steps[max(0, at - 4) : at + 1]]
            assert not (str(n) in found and any(recent))


class Stuck(Consumer[Any]):
    """Never has done with its first batch."""

    async def handle_events(self, events: list[Any]) -> None:
        await asyncio.Event().wait()


@pytest.mark.asyncio
@pytest.mark.parametrize(("sink", "cause"), [(Stuck, "busy"), (Kept, "paused")])
async def test_a_run_names_the_stage_that_holds_it(sink: Any, cause: str, caplog: pytest.LogCaptureFixture) -> None:
    topology = Topology()
    topology.stall_seconds = 0.5
    caplog.set_level("INFO")
    topology.add("source", lambda: Numbers(None))
    topology.add("middle", Pass, subscribe_to=SubscribeTo("source", 4))
    last = topology.add("sink", sink, subscribe_to=SubscribeTo("middle", 4))
    await topology.start()
    if cause == "paused":
        last.pause()
    await until(lambda: topology.snapshot().stages[2].stall is not None)
    stall = topology.snapshot().stages[2].stall
    assert stall is not None
    assert (stall.cause, stall.blocked) == (cause, ("middle",))
    assert caplog.text.count("stage 'sink' has done nothing for") == 1
    if cause == "paused":
        last.resume()
        await until(lambda: topology.snapshot().stages[2].stall is None)
        assert "stage 'sink' makes progress again" in caplog.text
    await topology.stop()


@pytest.mark.asyncio
async def test_a_run_that_has_nothing_to_do_is_no_stall() -> None:
    topology = Topology()
    topology.stall_seconds = 0.0
    topology.add("source", Quiet)
    topology.add("sink", Kept, subscribe_to="source")
    await topology.start()
    await until(lambda: run_looks(topology) > 2)
    assert all(stage.stall is None for stage in topology.snapshot().stages)
    await topology.stop()


class Quiet(Numbers):
    """Emits nothing."""

    def handle_demand(self, demand: int) -> list[int]:
        return []


def run_looks(topology: Topology) -> int:
    assert topology._run is not None
    return topology._run.watch.checks
