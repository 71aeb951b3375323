"""Random topologies: who subscribes to whom, with which windows, buffers, dispatchers and paces."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal

from hypothesis import strategies as st
from hypothesis.vendor.pretty import RepresentationPrinter

from headrace.otp.supervision.restart import Restart
from headrace.pipeline.demand.buffer import KeepPolicy
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.output import DemandMode
from headrace.pipeline.flow.subscription import CancelMode, SubscribeTo
from headrace.pipeline.stage.settings import Concurrency, DispatcherName, StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.topology import Topology
from tests.fakes.machine_notes import FORMS, PACES, Event, Form, Notes, Pace
from tests.fakes.machine_stages import (
    AgainNursery,
    AsyncMiddle,
    AsyncSink,
    GatheringMiddle,
    Middle,
    Nursery,
    Sink,
    Source,
)

MOST_DEMAND: Final = 20
"""No subscription has a larger `max_demand`."""

ChildRestart = Literal["transient", "temporary"]
CHILDREN: Final[tuple[ChildRestart | None, ...]] = (None, None, "temporary", "transient")

ANY_RESTARTS: Final = 1_000_000
"""Stages may crash as often as they like."""


@dataclass(repr=False)
class StagePlan:
    """One stage."""

    notes: Notes
    form: Form
    pace: Pace
    width: int
    kind: DispatcherName
    settings: StageSettings
    children: ChildRestart | None = None
    """Of a sink: how a child for each event is restarted; None when it takes events in batches."""
    gathers: bool = False
    """Of a stage in the middle: whether it holds events to gather them."""
    sees_data: bool = True
    """Whether its callbacks see the data of messages, rather than those; a stage that gathers takes messages."""
    subscribe_to: list[SubscribeTo] = field(default_factory=list)

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:  # noqa: FBT001 - Hypothesis calls it so
        printer.text(repr(self))

    def __repr__(self) -> str:
        """Say in one line what makes a stage differ from others."""
        to = [
            f"{one.producer} {one.max_demand}/{one.min_demand} {one.cancel}"
            f"{' thirds' if one.selector else ''} {one.partition} {one.weight}"
            for one in self.subscribe_to
        ]
        notes, settings = self.notes, self.settings
        pace = self.form if notes.name.startswith("source") else self.pace
        how = f"{pace} {notes.pace_of_life} {self.width}"
        buffer = (settings.buffer_size, settings.buffer_keep, settings.demand)
        tries = None if settings.retry is None else settings.retry.attempts
        how += (
            f" {tries} {self.gathers} {self.sees_data} {settings.concurrency.limit} {settings.concurrency.is_ordered}"
        )
        return f"<{how} {notes.listens} {notes.answers} {self.children} {self.kind} {buffer} {settings.restart} {to}>"

    def make(self) -> Stage:
        """Make the callback object."""
        stage = self._stage()
        stage.__dict__["takes_messages"] = self.gathers or not self.sees_data
        return stage

    def _stage(self) -> Stage:
        name = self.notes.name
        if name.startswith("source"):
            return Source(self.notes, self.form)
        if name.startswith("middle"):
            middle = AsyncMiddle if self.is_concurrent else GatheringMiddle if self.gathers else Middle
            return middle(self.notes, self.pace, self.width)
        sink = AsyncSink if self.is_concurrent else Sink
        sinks: dict[ChildRestart | None, Callable[[Notes, Pace], Stage]]
        sinks = {None: sink, "temporary": Nursery, "transient": AgainNursery}
        return sinks[self.children](self.notes, self.pace)

    @property
    def has_children(self) -> bool:
        """Whether a child handles each event."""
        return self.children is not None

    @property
    def is_concurrent(self) -> bool:
        """Whether several of its batches may be under way at a time."""
        return self.settings.concurrency.limit > 1

    @property
    def may_redo(self) -> bool:
        """Whether a crash takes events with it that its callbacks were through with: held ones, or not landed yet."""
        return self.gathers or self.is_concurrent

    @property
    def keeps_order(self) -> bool:
        """Whether it handles events in the order in which they came."""
        return not (self.has_children or self.is_concurrent)


@dataclass
class Plan:
    """A whole topology."""

    stages: dict[str, StagePlan]
    is_acknowledged: bool
    is_measured: bool = True
    is_stopped: bool = False
    max_restarts: int = ANY_RESTARTS

    @property
    def is_attended(self) -> bool:
        """Whether somebody takes every partition, so that none fills and stops its stage."""
        taken = {(to.producer, to.partition) for stage in self.stages.values() for to in stage.subscribe_to}
        split = [name for name, stage in self.stages.items() if stage.kind == "partition"]
        return all((name, partition) in taken for name in split for partition in (0, 1))

    @property
    def may_fail(self) -> bool:
        """Whether crashes can end the run."""
        return self.max_restarts < ANY_RESTARTS

    def build(self) -> Topology:
        """Return the topology, not yet started."""
        topology = Topology(max_restarts=self.max_restarts, max_seconds=1e9, measure=self.is_measured)
        for name, stage in self.stages.items():
            topology.add(name, stage.make, subscribe_to=stage.subscribe_to, settings=stage.settings)
        return topology


def names(plan: Plan, kind: str) -> list[str]:
    """Return the names of the stages of one kind: source, middle or sink."""
    return [name for name in plan.stages if name.startswith(kind)]


@st.composite
def _windows(draw: st.DrawFn, producer: str) -> SubscribeTo:
    most = draw(st.integers(1, MOST_DEMAND))
    cancel: CancelMode = draw(st.sampled_from(["temporary", "temporary", "transient", "permanent"]))
    return SubscribeTo(producer, most, draw(st.integers(0, most - 1)), cancel)


def partition_of(event: object) -> int | None:
    """Return one of two partitions for an event, or none for every fifth."""
    assert isinstance(event, Event)
    return None if event.number % 5 == 0 else event.number % 2


def is_third(event: object) -> bool:
    """Select every third event of each sender."""
    return isinstance(event, Event) and event.number % 3 == 0


DISPATCHERS: Final[tuple[DispatcherName, ...]] = ("demand", "broadcast", "partition", "round_robin", "weighted")


@st.composite
def _settings(draw: st.DrawFn, kind: DispatcherName, *, can_retry: bool) -> StageSettings:
    size = draw(st.one_of(st.none(), st.integers(0, 20)))
    keep: KeepPolicy | None = draw(st.sampled_from([None, None, "first", "last"]))
    restart: Restart = draw(st.sampled_from(["transient", "transient", "permanent", "temporary"]))
    demand: DemandMode = draw(st.sampled_from(["forward", "forward", "forward", "accumulate"]))
    most = draw(st.integers(1, 10))
    made = partial(PartitionDispatcher, 2, hash=partition_of, max_queue=most) if kind == "partition" else kind
    retry = Retry(draw(st.integers(1, 3)), backoff_seconds=0.0) if can_retry and draw(st.integers(0, 2)) == 0 else None
    settings = StageSettings(made, size, keep, restart, shutdown_seconds=0.05, demand=demand, retry=retry)
    if not can_retry or draw(st.integers(0, 3)):
        return settings
    return replace(settings, concurrency=Concurrency(draw(st.integers(2, 3)), is_ordered=draw(st.booleans())))


@st.composite
def _stages(draw: st.DrawFn, name: str, *, is_acknowledged: bool) -> StagePlan:
    notes = Notes(
        name,
        is_acknowledged,
        pace_of_life=draw(st.sampled_from(["sync", "sync", *PACES])),
        listens=draw(st.sampled_from([None, None, "automatic", "manual"])),
        answers=draw(st.sampled_from([False, False, True])),
    )
    width = draw(st.sampled_from([1, 1, 1, 0, 2]))
    kind = draw(st.sampled_from(DISPATCHERS))
    form, pace = draw(st.sampled_from(FORMS)), draw(st.sampled_from(PACES))
    children = draw(st.sampled_from(CHILDREN)) if name.startswith("sink") else None
    can_retry = children is None and not name.startswith("source")
    settings = draw(_settings(kind, can_retry=can_retry))
    gathers = name.startswith("middle") and draw(st.integers(0, 3)) == 0
    return StagePlan(notes, form, pace, width, kind, settings, children, gathers, draw(st.booleans()))


@st.composite
def edges(draw: st.DrawFn, producer: StagePlan) -> SubscribeTo:
    """Draw what a consumer may say to a producer."""
    to = draw(_windows(producer.notes.name))
    if producer.kind == "partition":
        return replace(to, partition=draw(st.integers(0, 1)))
    if producer.kind == "weighted":
        return replace(to, weight=draw(st.integers(1, 3)))
    is_choosy = producer.kind == "broadcast" and draw(st.integers(0, 3)) == 0
    return replace(to, selector=is_third) if is_choosy else to


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw chains, fan-outs, fan-ins and diamonds: everything is subscribed to something, and is itself heard."""
    is_acknowledged = draw(st.booleans())
    stages: dict[str, StagePlan] = {}
    emitting: list[str] = []
    unheard: set[str] = set()
    counts = {"source": draw(st.integers(1, 3)), "middle": draw(st.integers(0, 4)), "sink": draw(st.integers(1, 3))}
    for kind, count in counts.items():
        for index in range(count):
            name = f"{kind}{index}"
            stage = stages[name] = draw(_stages(name, is_acknowledged=is_acknowledged))
            if kind != "source":
                heard = draw(st.lists(st.sampled_from(emitting), min_size=1, max_size=2, unique=True))
                if kind == "sink" and index == count - 1:
                    heard = [*heard, *(one for one in sorted(unheard) if one not in heard)]
                stage.subscribe_to = [draw(edges(stages[one])) for one in heard]
                unheard -= set(heard)
            if kind != "sink":
                emitting.append(name)
                unheard.add(name)
    max_restarts = draw(st.sampled_from([ANY_RESTARTS, ANY_RESTARTS, ANY_RESTARTS, 2]))
    return Plan(stages, is_acknowledged, draw(st.booleans()), draw(st.booleans()), max_restarts)
