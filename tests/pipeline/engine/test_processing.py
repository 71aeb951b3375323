"""The rules about failures are the same however a stage gets its events: a model predicts the end of each."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import (
    Aside,
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
from tests.fakes.flow_stages import Numbers
from tests.fakes.jumping import jumped
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of

COUNT: Final = 24
NUMBERS: Final = range(1, COUNT + 1)
LATER: Final = (OneToOneLater, SingleLater, WholeLater)
SHAPES: Final = (OneToOne, Many, Single, Whole, *LATER)


class ManyLater(Many):
    """Says later what came of which."""

    async def handle_each(self, events: list[Any]) -> Any:  # type: ignore[override] # either form is allowed
        return super().handle_each(events)


@dataclass(frozen=True)
class Plan:
    """How the stage is set up, and how often each number fails; -1 is for ever."""

    limit: int
    is_ordered: bool
    attempts: int
    failures: dict[int, int]
    source: type[Numbers] | type[Told]
    most: int
    goal: str


PLANS: Final = st.builds(
    Plan,
    limit=st.integers(1, 4),
    is_ordered=st.booleans(),
    attempts=st.integers(1, 3),
    failures=st.dictionaries(st.sampled_from(NUMBERS), st.sampled_from([-1, 1, 2]), max_size=8),
    source=st.sampled_from([Numbers, Told]),
    most=st.integers(1, 12),
    goal=st.sampled_from(["errors", "dead letters", "full store", "nowhere"]),
)


@pytest.mark.parametrize("shape", [*SHAPES, ManyLater])
@settings(max_examples=20)
@given(plan=PLANS)
def test_each_event_is_tried_as_often_as_the_policy_says_and_ends_once(shape: type[OneToOne], plan: Plan) -> None:
    goal, is_many = plan.goal, issubclass(shape, Many)
    limit = plan.limit if shape in LATER else 1
    failed = [n for n in NUMBERS if plan.failures.get(n, 0) == -1 or plan.failures.get(n, 0) >= plan.attempts]
    tries = {n: plan.attempts if n in failed else plan.failures.get(n, 0) + 1 for n in NUMBERS}

    async def main() -> None:
        table, origin, sink, errors = Table(plan.failures), plan.source(COUNT), Kept(), Kept()
        aside = Aside(OSError("full") if goal == "full store" else None)
        topology = Topology()
        topology.dead_letter_handler = None if goal == "nowhere" else aside
        topology.add("source", lambda: origin)
        how = StageSettings(retry=Retry(plan.attempts, 0.5), concurrency=Concurrency(limit, is_ordered=plan.is_ordered))
        topology.add("middle", lambda: shape(table), subscribe_to=SubscribeTo("source", plan.most), settings=how)
        topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("middle", plan.most))
        if goal == "errors":
            topology.add("errors", lambda: errors, subscribe_to=SubscribeTo("middle", 3, output="errors"))
        await topology.start()
        outcome = await topology.join()
        check_end(run_of(topology))
        assert Counter(table.tried) == tries
        copies = [(0 if n % 4 == 0 else 2) if is_many else 1 for n in NUMBERS]
        made = [f"<{n}>" for n, count in zip(NUMBERS, copies, strict=True) if n not in failed for _ in range(count)]
        assert Counter(sink.data) == Counter(made)
        if plan.is_ordered and not issubclass(shape, Whole):
            assert sink.data == made
        described: list[Any] = errors.data
        assert Counter(one["event"] for one in described) == Counter(failed if goal == "errors" else [])
        assert {(one.data, one.attempts) for one in aside.kept} == {
            (n, plan.attempts) for n in failed if goal == "dead letters"
        }
        assert outcome.events_failed == (len(failed) if goal in ("full store", "nowhere") else 0)
        if isinstance(origin, Told):
            ends = {"errors": Outcome.DONE, "dead letters": Outcome.DEAD_LETTERED}
            worst = ends.get(goal, Outcome.FAILED)
            assert origin.outcomes() == [worst if n in failed else Outcome.DONE for n in NUMBERS]

    jumped(main())
