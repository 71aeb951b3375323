"""Makes processes of stage specs, checks and makes their subscriptions, and keeps the edges of a run."""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, cast, get_args

from headrace.errors import DemandError, GraphError
from headrace.otp.process.callbacks import is_overridden
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.demand.window import Window, is_whole
from headrace.pipeline.engine.consuming import ConsumerStep, SupervisorStep
from headrace.pipeline.engine.producing import AnsweringStep, ProducerConsumerStep, ProducerStep
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.engine.subscribing import Step, Subscribe, subscribes_alone
from headrace.pipeline.failure import DeadLetterHandler
from headrace.pipeline.flow.accumulator import Selector
from headrace.pipeline.flow.counts import StageCounts, UndeliveredHandler
from headrace.pipeline.flow.ingress import Ingress
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.flow.subscription import CancelMode, SubscribeTo, Subscription
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import PRODUCER_BUFFER_SIZE, StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.graph import GraphNode, StageKind, circle_errors, graph_errors, in_order
from headrace.telemetry.counts import MetricNames

StageCallbacks = Producer[object] | ProducerConsumer[object, object] | Consumer[object]


@dataclass(slots=True)
class StageSpec:
    """One stage as it was added: its factory, the first callback object, its subscriptions and its settings."""

    name: str
    factory: Callable[[], Stage]
    first: StageCallbacks
    subscribe_to: tuple[SubscribeTo, ...]
    settings: StageSettings
    is_later: bool = False
    side_of: str | None = None
    """The stage that emits by this side output; None for a stage that was added."""
    side: str = ""
    """The name of the side output there."""

    @property
    def kind(self) -> StageKind:
        """The kind of the stage."""
        if isinstance(self.first, Producer):
            return "producer"
        return "consumer" if isinstance(self.first, Consumer) else "producer_consumer"


def ordered(specs: Mapping[str, StageSpec]) -> list[StageSpec]:
    """Return the stages, producers before their consumers. Raises `GraphError` for the first mistake."""
    nodes = {
        name: GraphNode(spec.kind, tuple(to.producer for to in spec.subscribe_to), spec.is_later)
        for name, spec in specs.items()
    }
    flows = {name: _with_flow(node, specs[name]) for name, node in nodes.items()}
    for error in graph_errors(nodes) + circle_errors(flows):
        raise error
    dispatchers = {name: spec.settings.make_dispatcher() for name, spec in specs.items() if spec.kind != "consumer"}
    for spec in specs.values():
        for to in spec.subscribe_to:
            try:
                Window(to.max_demand, to.min_demand)
            except DemandError as error:
                raise GraphError(spec.name, f"cannot subscribe to {to.producer!r}: {error}") from None
            why = dispatchers[to.producer].option_error(to)
            if why is not None:
                raise GraphError(spec.name, f"cannot subscribe to {to.producer!r}: {why}")
    return [specs[name] for name in in_order({name: node.producers for name, node in flows.items()})]


def _with_flow(node: GraphNode, spec: StageSpec) -> GraphNode:
    """Return the node of a stage as events flow: a side output comes after its stage."""
    return node if spec.side_of is None else replace(node, producers=(spec.side_of,))


@dataclass(frozen=True, slots=True)
class RunContext:
    """The parts of a run that its stages share.

    `dead_letter_handler` stores events that failed for good, `undelivered` gets events that were not delivered, and
    `metric_names` are the names of all metrics that stages of the run export.
    """

    dead_letter_handler: DeadLetterHandler | None = None
    undelivered: UndeliveredHandler | None = None
    metric_names: MetricNames | None = None
    subscriber: Subscribe = subscribes_alone


_ALONE: Final = RunContext()


def make_process(
    spec: StageSpec,
    scheduler: Scheduler,
    context: RunContext = _ALONE,
) -> StageProcess:
    """Make the process of one stage, not yet started."""
    undelivered = context.undelivered if spec.settings.dead_letters else None
    counts = StageCounts(
        spec.name, spec.first.known_discards, context.metric_names, spec.first.known_losses, undelivered
    )
    process = StageProcess(spec.factory, scheduler, counts, _step(spec, counts), context.subscriber)
    process.first = spec.first
    process.shutdown_seconds = spec.settings.shutdown_seconds
    process.failure = spec.settings.failure(context.dead_letter_handler)
    process.concurrency = spec.settings.concurrency
    return process


def step_class(first: StageCallbacks) -> type[Step]:
    """Return the class of the step that runs a stage."""
    if isinstance(first, Producer):
        return ProducerStep
    if isinstance(first, ProducerConsumer):
        answers = is_overridden(first.handle_demand, ProducerConsumer.handle_demand)
        return AnsweringStep if answers else ProducerConsumerStep
    return SupervisorStep if isinstance(first, ConsumerSupervisor) else ConsumerStep


def _step(spec: StageSpec, counts: StageCounts) -> Step:
    first, settings = spec.first, spec.settings
    if isinstance(first, Producer):
        stage_output = settings.make_output(PRODUCER_BUFFER_SIZE, counts, first.buffer_keep, first.buffer_bytes)
        stage_output.is_acknowledged = first.emits_messages
        return ProducerStep(stage_output)
    step = step_class(first)
    if isinstance(first, ProducerConsumer):
        stage_input, stage_output = StageInput(counts, is_by_delivery=True), settings.make_output(None, counts)
        return cast("type[ProducerConsumerStep]", step)(stage_input, stage_output)
    return cast("type[ConsumerStep]", step)(StageInput(counts, is_by_delivery=False))


def kind_of(process: StageProcess) -> StageKind:
    """Return the kind of the stage of a process."""
    if process.input is None:
        return "producer"
    return "consumer" if process.output is None else "producer_consumer"


def output_of(process: StageProcess, instead: str) -> StageOutput:
    """Return the output of a process. Raises `GraphError` for a consumer, whose sentence says what to do `instead`."""
    if process.output is None:
        raise GraphError(process.name, f"is a consumer and emits nothing: {instead}")
    return process.output


def ingress_of(process: StageProcess, instead: str) -> Ingress:
    """Return the ingress of a process. Raises `GraphError` for a consumer."""
    output_of(process, instead)
    return cast("Ingress", process.ingress)


def input_of(process: StageProcess) -> StageInput:
    """Return the input of a process. Raises `GraphError` for a producer."""
    if process.input is None:
        raise GraphError(process.name, "is a producer and has no input")
    return process.input


def subscribe(consumer: StageProcess, producer: StageProcess, to: SubscribeTo, cancel: CancelMode) -> Subscription:
    """Link two stages. If the producer's edges carry messages, the consumer's own edges do, too."""
    stage_input, is_acknowledged = input_of(consumer), output_of(producer, "subscribe to what feeds it").is_acknowledged
    window = Window(to.max_demand, to.min_demand)
    selects = to.selector.selects if isinstance(to.selector, Selector) else to.selector
    selector = selects and Selector(selects, consumer.counts, is_acknowledged=is_acknowledged)
    options = replace(to, cancel=cancel if to.cancel is None else to.cancel, selector=selector)
    subscription = Subscription(producer, consumer, window, options, consumer.scheduler)
    if is_acknowledged:
        stage_input.is_acknowledged = True
        if consumer.output is not None:
            consumer.output.is_acknowledged = True
    producer.on_subscribe(subscription)
    consumer.subscribed(subscription)
    return subscription


_MODES: Final = get_args(CancelMode)


def checked_target(stage: str, to: object) -> SubscribeTo:
    """Return a target with all options; a name gets the defaults. Raises `GraphError` for an invalid one."""
    if isinstance(to, str):
        return SubscribeTo(to)
    if not isinstance(to, SubscribeTo):
        raise GraphError(stage, f"subscribes to {to!r}, which names no stage: give a name, a handle or a SubscribeTo")
    why = _problem(to)
    if why is not None:
        raise GraphError(stage, f"subscribes {why}")
    return to


def _problem(to: SubscribeTo) -> str | None:
    """Return the mistake in a target as a clause, or None. Its bounds are checked by `Window`."""
    producer: object = to.producer
    selector: object = to.selector
    if not isinstance(producer, str):
        return f"to {producer!r}, which is no name of a stage: give its name"
    if to.cancel is not None and to.cancel not in _MODES:
        return f"with cancel={to.cancel!r}: it is one of {', '.join(map(repr, _MODES))}"
    numbers: dict[str, object] = {"max_demand": to.max_demand, "min_demand": to.min_demand, "weight": to.weight}
    for option, found in numbers.items():
        if found is not None and not is_whole(found):
            return f"with {option}={found!r}: it is a whole number"
    if selector is not None and not callable(selector):
        return f"with selector={selector!r}: it is a function that returns whether an event is for the stage"
    options: object = to.options
    if not isinstance(options, Mapping):
        return f"with options={options!r}: they are a mapping, such as a dict"
    return None if _is_hashable(to.partition) else f"with partition={to.partition!r}: it is a number or another name"


def _is_hashable(name: Hashable) -> bool:
    try:
        hash(name)
    except TypeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class EdgeSnapshot:
    """The counts of an edge: demand requested and events delivered since the start, and unmet demand now."""

    producer: str
    consumer: str
    demand_requested: int
    events: int
    demand_pending: int


class Edge:
    """The subscriptions of one stage to another. Of closed ones only the counts are kept."""

    __slots__ = ("_delivered", "_demand_withdrawn", "_subscriptions", "_taken_back", "consumer", "producer", "to")

    def __init__(self, subscription: Subscription) -> None:
        self.producer = subscription.producer.name
        self.consumer = subscription.consumer.name
        self.to: SubscribeTo = subscription.to
        self._subscriptions = [subscription]
        self._delivered = 0
        self._taken_back = 0
        self._demand_withdrawn = 0

    @property
    def is_alive(self) -> bool:
        """Whether a subscription may still deliver events."""
        return self.has_alive(None)

    def has_alive(self, but: Subscription | None) -> bool:
        """Return whether another subscription than `but` may still deliver events."""
        return any(one.ended is None and one is not but for one in self._subscriptions)

    @property
    def delivered(self) -> int:
        """The number of events that were delivered and not returned to the producer."""
        return self._delivered + sum(one.delivered for one in self._subscriptions)

    def add(self, subscription: Subscription) -> None:
        """Add a subscription, and add closed ones to the counts."""
        self._fold()
        self._subscriptions.append(subscription)
        self.to = subscription.to

    def _fold(self) -> None:
        for one in self._subscriptions:
            if one.is_closed:
                self._delivered += one.delivered
                self._taken_back += one.taken_back
                self._demand_withdrawn += one.demand_withdrawn + one.asked + one.pending
        self._subscriptions = [one for one in self._subscriptions if not one.is_closed]

    def snapshot(self) -> EdgeSnapshot:
        """Return the counts of all subscriptions of this edge."""
        self._fold()
        live = self._subscriptions
        pending = sum(one.asked + one.pending for one in live)
        events = self.delivered + self._taken_back + sum(one.taken_back for one in live)
        return EdgeSnapshot(
            self.producer,
            self.consumer,
            demand_requested=events + pending + self._demand_withdrawn + sum(one.demand_withdrawn for one in live),
            events=events,
            demand_pending=sum(one.asked + one.pending for one in live if one.ended is None),
        )


class Edges:
    """All edges of a run, in the order in which they were made; found by their producer or consumer."""

    def __init__(self) -> None:
        self._edges: dict[tuple[str, str], Edge] = {}
        self._by_producer: dict[str, list[Edge]] = {}
        self._by_consumer: dict[str, list[Edge]] = {}

    def __iter__(self) -> Iterator[Edge]:
        return iter(self._edges.values())

    def add(self, subscription: Subscription) -> bool:
        """Add a subscription; return whether it makes a new edge."""
        ends = subscription.producer.name, subscription.consumer.name
        edge = self._edges.get(ends)
        if edge is not None:
            edge.add(subscription)
            return False
        edge = self._edges[ends] = Edge(subscription)
        self._by_producer.setdefault(edge.producer, []).append(edge)
        self._by_consumer.setdefault(edge.consumer, []).append(edge)
        return True

    def is_alive(self, producer: str, consumer: str, but: Subscription | None = None) -> bool:
        """Return whether one stage subscribes to another now; the subscription `but` does not count."""
        edge = self._edges.get((producer, consumer))
        return edge is not None and edge.has_alive(but)

    def from_producer(self, name: str) -> Collection[Edge]:
        """Return the edges on which a stage sends, or has sent."""
        return self._by_producer.get(name, ())

    def to_consumer(self, name: str) -> Collection[Edge]:
        """Return the edges on which a stage receives, or has received."""
        return self._by_consumer.get(name, ())


class Ends:
    """Counts the stages that live, at the end of each stage and for each new edge.

    A stage is *unconsumed* when each of its consumers has ended or is unconsumed. A stage that never had a consumer is
    not unconsumed.
    """

    def __init__(self, stages: Collection[str], sources: Collection[str], edges: Edges) -> None:
        self._edges = edges
        self._alive = set(stages)
        self._sources = set(sources)
        self._ended: set[str] = set()
        self._readers = {name: len(edges.from_producer(name)) for name in stages}
        self._unconsumed: dict[str, None] = {}

    @property
    def is_all(self) -> bool:
        """Whether every stage has ended."""
        return not self._alive

    @property
    def is_all_sources(self) -> bool:
        """Whether every producer has ended."""
        return not self._sources

    @property
    def unconsumed(self) -> list[str]:
        """The live stages that are unconsumed and are not ending yet."""
        return list(self._unconsumed)

    def let_go(self, name: str) -> None:
        """Remove a stage from `unconsumed`: it is about to end."""
        self._unconsumed.pop(name, None)

    def ended(self, name: str) -> None:
        """Called when a stage has ended for good."""
        self._alive.discard(name)
        self._sources.discard(name)
        self._unconsumed.pop(name, None)
        if name not in self._ended:
            self._ended.add(name)
            self._lose([name])

    def _lose(self, removed: list[str]) -> None:
        """Remove ended or unconsumed consumers from their producers. A producer without others is unconsumed, too."""
        while removed:
            for edge in self._edges.to_consumer(removed.pop()):
                self._readers[edge.producer] -= 1
                removed += self._if_unconsumed(edge.producer)

    def _if_unconsumed(self, name: str) -> list[str]:
        """Add a stage without consumers to the unconsumed stages; return the stage if it was added."""
        if self._readers[name] or name in self._ended:
            return []
        self._ended.add(name)
        self._unconsumed[name] = None
        return [name]

    def joined(self, producer: str, consumer: str) -> None:
        """Called when a new edge was made."""
        if consumer in self._ended:
            self._lose(self._if_unconsumed(producer))
            return
        back = [producer]
        while back:
            name = back.pop()
            self._readers[name] += 1
            if name in self._ended and name in self._alive:
                self._ended.remove(name)
                self._unconsumed.pop(name, None)
                back += [edge.producer for edge in self._edges.to_consumer(name)]
