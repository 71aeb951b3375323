"""Checks subscribe targets, makes processes of specs, subscribes them."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Final, cast, get_args

from headrace.errors import DemandError, GraphError
from headrace.otp.process.callbacks import is_overridden
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.demand.window import Window, is_whole
from headrace.pipeline.engine.consuming import ConsumerStep, SupervisorStep
from headrace.pipeline.engine.producing import AnsweringStep, ProducerConsumerStep, ProducerStep
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.engine.subscribing import Step
from headrace.pipeline.failure import DeadLetterHandler
from headrace.pipeline.flow.accumulator import Selector
from headrace.pipeline.flow.counts import StageCounts
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
    """One stage as it was added: the factory, the callback object that it made first, and what was said beside them."""

    name: str
    factory: Callable[[], Stage]
    first: StageCallbacks
    subscribe_to: tuple[SubscribeTo, ...]
    settings: StageSettings
    is_later: bool = False
    side_of: str | None = None
    """Of a side output: the stage whose it is."""
    side: str = ""
    """What it is called there."""

    @property
    def kind(self) -> StageKind:
        """What the stage is."""
        if isinstance(self.first, Producer):
            return "producer"
        return "consumer" if isinstance(self.first, Consumer) else "producer_consumer"


def ordered(specs: Mapping[str, StageSpec]) -> list[StageSpec]:
    """Return the stages, producers before their consumers. Raises `GraphError` for the first thing that is wrong."""
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


def make_process(
    spec: StageSpec,
    scheduler: Scheduler,
    dead_letter_handler: DeadLetterHandler | None = None,
    metric_names: MetricNames | None = None,
) -> StageProcess:
    """Make the process of one stage, not yet started; `dead_letter_handler` stores its events that failed for good.

    `metric_names` are those that the stages of the run export.
    """
    counts = StageCounts(spec.name, spec.first.known_discards, metric_names, spec.first.known_losses)
    process = StageProcess(spec.factory, scheduler, counts, _step(spec, counts))
    process.first = spec.first
    process.shutdown_seconds = spec.settings.shutdown_seconds
    process.failure = spec.settings.failure(dead_letter_handler)
    process.concurrency = spec.settings.concurrency
    return process


def _step(spec: StageSpec, counts: StageCounts) -> Step:
    first, settings = spec.first, spec.settings
    if isinstance(first, Producer):
        stage_output = settings.make_output(PRODUCER_BUFFER_SIZE, counts, first.buffer_keep, first.buffer_bytes)
        stage_output.is_acknowledged = first.emits_messages
        return ProducerStep(stage_output)
    if isinstance(first, ProducerConsumer):
        answers = is_overridden(first.handle_demand, ProducerConsumer.handle_demand)
        return (AnsweringStep if answers else ProducerConsumerStep)(
            StageInput(counts, is_by_delivery=True), settings.make_output(None, counts)
        )
    stage_input = StageInput(counts, is_by_delivery=False)
    return (SupervisorStep if isinstance(first, ConsumerSupervisor) else ConsumerStep)(stage_input)


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
    """Return the ingress of a process. Raises `GraphError` for a consumer, as `output_of` does."""
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
    selects = to.selector.selects if isinstance(to.selector, Selector) else to.selector  # of one made anew
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
    """Return the full form of a stage's name, or of what is full already. Raises `GraphError` for what cannot be."""
    if isinstance(to, str):
        return SubscribeTo(to)
    if not isinstance(to, SubscribeTo):
        raise GraphError(stage, f"subscribes to {to!r}, which names no stage: give a name, a handle or a SubscribeTo")
    why = _problem(to)
    if why is not None:
        raise GraphError(stage, f"subscribes {why}")
    return to


def _problem(to: SubscribeTo) -> str | None:
    """Return in words what is wrong; bounds are checked with the window that they make."""
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
