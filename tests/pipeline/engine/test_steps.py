"""The inlined steps take and send the same batches as `StageInput.next_batch` and `StageOutput.emit` would."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.otp.scheduler import BLOCKED, HANDLED, HANDLED_BLOCKED, HANDLED_MORE, IDLE, Scheduler
from headrace.pipeline.engine.consuming import ConsumerStep
from headrace.pipeline.engine.producing import ProducerConsumerStep, ProducerStep
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.subscription import Marker, SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.stage import as_list
from headrace.pipeline.topology.topology import Topology

# The steps, as they would be without inlined code.


def dequeue(step: ConsumerStep | ProducerConsumerStep) -> list[object] | int:
    """Take a batch by `next_batch`, or return the outcome of a turn that has none."""
    batch = step.input.next_batch()
    if batch is None:
        return IDLE
    if isinstance(batch, Marker):
        step.input.source.markers.appendleft(batch)
        return step.process.end_of(step.input.source)
    return batch


def finished(stage_input: StageInput) -> int:
    source, is_single = stage_input.source, stage_input.is_single
    stage_input.finish_batch()
    return HANDLED if is_single and not source.queue else HANDLED_MORE


def produce(step: ProducerStep) -> int:
    process = step.process
    if process.has_control:
        return process.handle_control()
    demand = process.ledger.report(step.output.collect())
    if step.pull is not None:
        step.pull.want(demand)
        return step._go_on(step.pull)
    if not demand:
        return IDLE if process.ledger.owed else BLOCKED
    events = step._handle_demand(demand)
    step._take(demand, events)
    if not isinstance(events, list):
        return HANDLED_MORE
    return HANDLED_BLOCKED if len(events) == demand else HANDLED


def transform(step: ProducerConsumerStep) -> int:
    process, stage_input, stage_output = step.process, step.input, step.output
    if process.has_control:
        return process.handle_control()
    unmet, waiting = stage_output.collect(), stage_input.waiting()
    if waiting is None:
        return IDLE
    if unmet <= 0 and not waiting.offset and waiting.queue[0][0] is not None:
        return step._shed() if process.is_draining and not stage_output.subscriptions else BLOCKED
    batch = dequeue(step)
    if isinstance(batch, int):
        return batch
    outputs = step._handle_events(batch)
    if inspect.isawaitable(outputs):
        process.drive(outputs, partial(step._handled_later, process.scheduler.clock()))
        return IDLE
    stage_output.emit(as_list(process.name, "handle_events", outputs), stage_input.ingested_at)
    return finished(stage_input)


def consume(step: ConsumerStep) -> int:
    if step.process.has_control:
        return step.process.handle_control()
    batch = dequeue(step)
    if isinstance(batch, int):
        return batch
    result = step._handle_events(batch)
    if result is not None:
        step._take_return(result)
        return IDLE
    step.latency.observe(step.process.scheduler.now - step.input.ingested_at)
    return finished(step.input)


PLAIN: dict[type[Any], Callable[[Any], int]] = {
    ProducerStep: produce,
    ProducerConsumerStep: transform,
    ConsumerStep: consume,
}


@dataclass
class Plan:
    """A graph of sources, one middle stage and sinks, and how each behaves."""

    sources: list[tuple[int, int]]
    """How many events each source has, and at most how many it returns at a time."""
    windows: list[tuple[int, int]]
    """The bounds of demand between each source and the middle, and between that and each sink."""
    widths: list[int]
    """How many outputs the middle makes of its events, in turn."""
    sinks: int
    dispatcher: str
    is_async: bool
    crash_at: int | None
    notes: list[tuple[str, list[object]]] = field(default_factory=list)


class Source(Producer[int]):
    """Emits numbers, also some that it owes, and ends."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.total, self.most = plan.sources[number]
        self.next = number * 1000
        self.end = self.next + self.total
        self.owed = 0

    def handle_demand(self, demand: int) -> list[int]:
        self.owed += demand
        size = min(self.owed, self.most, self.end - self.next)
        self.owed -= size
        self.next += size
        if self.next == self.end:
            self.complete()
        elif self.owed:
            self.info("more")
        return list(range(self.next - size, self.next))

    def handle_info(self, _: str) -> list[int]:
        return self.handle_demand(0) if self.next < self.end else []


class Middle(ProducerConsumer[int, int]):
    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def handle_events(self, events: list[int]) -> Any:
        self.plan.notes.append(("middle", list(events)))
        if self.plan.crash_at == len(self.plan.notes):
            raise KeyError(events[0])
        widths = self.plan.widths
        outputs = [event for event in events for _ in range(widths[event % len(widths)])]
        return self._later(outputs) if self.plan.is_async else outputs

    async def _later(self, outputs: list[int]) -> list[int]:
        return outputs


class Sink(Consumer[int]):
    def __init__(self, plan: Plan, number: int) -> None:
        self.plan = plan
        self.number = number

    def handle_events(self, events: list[int]) -> Any:
        self.plan.notes.append((f"sink {self.number}", list(events)))
        return self._later() if self.plan.is_async and events[0] % 2 else None

    async def _later(self) -> None:
        pass


async def run(plan: Plan) -> tuple[list[object], list[object]]:
    """Return the batches of all stages in their order, and the counts at the end."""
    topology = Topology()
    window = [SubscribeTo("", most, least) for most, least in plan.windows]
    for number in range(len(plan.sources)):
        topology.add(f"source {number}", partial(Source, plan, number))
    topology.add(
        "middle",
        partial(Middle, plan),
        subscribe_to=[
            SubscribeTo(f"source {number}", to.max_demand, to.min_demand)
            for number, to in zip(range(len(plan.sources)), window, strict=False)
        ],
        settings=StageSettings(cast("Any", plan.dispatcher)),
    )
    for number in range(plan.sinks):
        to = window[-1 - number]
        topology.add(
            f"sink {number}",
            partial(Sink, plan, number),
            subscribe_to=SubscribeTo("middle", to.max_demand, to.min_demand),
        )
    async with asyncio.timeout(20):
        outcome = await topology.run()
    snapshot = topology.snapshot()
    counts = [(one.events_received, one.events_sent, dict(one.discarded), one.restarts) for one in snapshot.stages]
    return list(plan.notes), [*counts, *snapshot.edges, outcome.events_lost, outcome.is_completed]


WINDOW = st.integers(1, 12).flatmap(lambda most: st.tuples(st.just(most), st.integers(0, most - 1)))


@settings(deadline=None, max_examples=100)
@given(
    sources=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=3),
    windows=st.lists(WINDOW, min_size=4, max_size=4),
    widths=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    sinks=st.integers(1, 2),
    dispatcher=st.sampled_from(["demand", "broadcast"]),
    is_async=st.booleans(),
    crash_at=st.none() | st.integers(1, 8),
)
def test_inlined_steps_take_and_send_the_same_batches_as_plain_ones(**drawn: Any) -> None:
    defaults = Scheduler.__init__.__kwdefaults__
    assert defaults is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(defaults, "slice_seconds", 1e9)  # so that no clock decides about the order of turns
        inlined = asyncio.run(run(Plan(**drawn)))
        for kind, turn in PLAIN.items():
            patch.setattr(kind, "turn", turn)
        assert asyncio.run(run(Plan(**drawn))) == inlined
