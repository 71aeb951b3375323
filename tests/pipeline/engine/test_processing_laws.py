"""With failures, retries, retained messages and crashes, each source hears one outcome of each event: the right one."""

from collections import Counter
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.functions import data_of
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import (
    Aside,
    Gather,
    Kept,
    Many,
    OneToOne,
    OneToOneLater,
    Single,
    SingleLater,
    Table,
    Whole,
    WholeLater,
)
from tests.fakes.jumping import jumped
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of

COUNT: Final = 30
LATER: Final = (OneToOneLater, SingleLater, WholeLater)
"""Stages of which more than one event, or batch, may be in flight."""

SHAPES: Final = (OneToOne, Many, Single, Whole, *LATER)


class FlakySink(Kept):
    """Crashes in its first batches, `crashes` of them."""

    def __init__(self, crashes: int) -> None:
        super().__init__()
        self.crashes = crashes

    def handle_events(self, events: list[Any]) -> None:
        if self.crashes:
            self.crashes -= 1
            raise ConnectionError
        super().handle_events(events)


@st.composite
def cares(draw: st.DrawFn) -> tuple[type[OneToOne], StageSettings]:
    shape = draw(st.sampled_from(SHAPES))
    limit = draw(st.integers(1, 4)) if shape in LATER else 1
    how = Concurrency(limit, is_ordered=draw(st.booleans()))
    return shape, StageSettings(retry=Retry(draw(st.integers(1, 4)), 0.5), concurrency=how)


@settings(max_examples=60)
@given(
    care=cares(),
    failures=st.dictionaries(st.integers(1, COUNT), st.sampled_from([-1, 1, 2, 3])),
    around=st.tuples(st.integers(1, 7), st.integers(1, 12), st.integers(0, 2)),
    is_kept=st.booleans(),
)
def test_each_source_event_has_one_outcome_and_the_right_one(
    care: tuple[type[OneToOne], StageSettings],
    failures: dict[int, int],
    around: tuple[int, int, int],
    *,
    is_kept: bool,
) -> None:
    shape, said = care
    size, most, crashes = around  # of what is gathered, of demand, and of the sink's crashes
    assert said.retry is not None
    attempts = said.retry.attempts
    worst = Outcome.DEAD_LETTERED if is_kept else Outcome.FAILED
    failed = {number for number, times in failures.items() if times == -1 or times >= attempts}

    async def main() -> None:
        source, sink, aside = Told(COUNT), FlakySink(crashes), Aside()
        topology = Topology(max_restarts=100)
        topology.dead_letter_handler = aside if is_kept else None
        table = Table(failures)
        topology.add("source", lambda: source)
        topology.add("middle", lambda: shape(table), subscribe_to=SubscribeTo("source", most), settings=said)
        topology.add("gather", lambda: Gather(size), subscribe_to=SubscribeTo("middle", most))
        plain = StageSettings(dead_letters=False)  # so that what it raises is a crash
        topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("gather", most), settings=plain)
        await topology.start()
        outcome = await topology.join()
        check_end(run_of(topology))
        assert source.outcomes() == [worst if n in failed else Outcome.DONE for n in range(1, COUNT + 1)]
        assert outcome.events_failed == (0 if is_kept else len(failed))
        assert Counter(one.data for one in aside.kept) == Counter(failed if is_kept else [])
        seen = {output for gathered in map(data_of, sink.data) for output in gathered}  # type: ignore[attr-defined] # lists
        drops = {n for n in range(1, COUNT + 1) if shape is Many and n % 4 == 0}
        assert seen == {f"<{n}>" for n in range(1, COUNT + 1) if n not in failed | drops}

    jumped(main())
