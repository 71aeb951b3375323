"""Checks the edges between the stages of a config; each problem points at the text that causes it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from headrace.config.keys.stage import side_output_problems, subscription_problems, unconsumed_partitions
from headrace.config.text.findings import Problem, TextSpan
from headrace.config.text.messages import close, missing_key
from headrace.config.text.tree import ListNode, LocatedNode, ScalarNode, child
from headrace.pipeline.topology.graph import ERRORS, KIND_NAMES, StageKind, find_circle, upstream

Placed = tuple[TextSpan, Problem]

_EMITTING_KEYS = ("dispatcher", "buffer")


@dataclass(frozen=True, slots=True)
class ConfigNode:
    """A stage in the graph: its place, and its kind where its type is known."""

    name: str
    found: LocatedNode
    kind: StageKind | None = None
    type_name: str = ""
    outputs: tuple[str, ...] | None = None
    """The names of its outputs, if it has several; None where they are unknown."""
    side_outputs: tuple[str, ...] = ()
    """The names of its side outputs, without `errors`."""
    outputs_with: Mapping[str, str] = field(default_factory=dict)
    """The option that adds an output, by the name of the output."""
    max_retained: int = 0
    """How many events the stage may retain until others arrive, without a time limit."""
    has_waiting_sender: bool = False
    """Whether a sender of this source waits for the outcome of its event before it sends the next one."""


@dataclass(frozen=True, slots=True)
class _Edge:
    """A subscription: its producer, and its place; `written` is the name as the file has it."""

    producer: str
    span: TextSpan
    written: str
    source: LocatedNode
    output: str | None = None
    """The output that the subscription names, if any."""

    @property
    def is_errors(self) -> bool:
        """Whether the subscription is to the output `errors`."""
        return self.output == ERRORS

    def is_side(self, producer: ConfigNode) -> bool:
        """Whether the subscription is to a side output, which needs no consumer."""
        return self.is_errors or self.output in producer.side_outputs


def graph_problems(vertices: Mapping[str, ConfigNode]) -> Iterator[Placed]:
    """Yield all problems of the edges; the stages' other keys may be wrong."""
    edges = {name: tuple(_edges(config_node)) for name, config_node in vertices.items()}
    for name, config_node in vertices.items():
        yield from _kind_problems(config_node)
        yield from _edge_problems(edges[name], vertices)
    yield from _circles(edges)
    yield from _waiting(edges, vertices)


def _producers(edges: Mapping[str, tuple[_Edge, ...]]) -> dict[str, list[str]]:
    return {name: [edge.producer for edge in many] for name, many in edges.items()}


def _waiting(edges: Mapping[str, tuple[_Edge, ...]], vertices: Mapping[str, ConfigNode]) -> Iterator[Placed]:
    """Yield stages that retain events behind a source whose senders wait for each outcome: neither would go on."""
    producers = _producers(edges)
    for name, config_node in vertices.items():
        if config_node.max_retained <= 1:
            continue
        for source in upstream(name, producers):
            if source in vertices and vertices[source].has_waiting_sender:
                message = (
                    f"{name} may hold {config_node.max_retained} events until others come, and senders to {source} "
                    "wait for the outcome of each: give it a `period`, or have the source answer at once"
                )
                yield config_node.found.name, Problem("waits-for-ever", message)
                break


def unconsumed_problems(vertices: Mapping[str, ConfigNode]) -> Iterator[Placed]:
    """Yield each stage with an output or a partition without a consumer: it would block the run.

    Yield nothing if a subscription cannot be read or names no stage, because it may be the missing subscription.
    """
    edges_by_producer: dict[str, list[_Edge]] = {}
    for config_node in vertices.values():
        own = list(_edges(config_node))
        if len(own) < _subscriptions(config_node) or not vertices.keys() >= {edge.producer for edge in own}:
            return
        for edge in own:
            if not edge.is_side(vertices[edge.producer]):
                edges_by_producer.setdefault(edge.producer, []).append(edge)
    for name, edges in edges_by_producer.items():
        dispatcher = child(vertices[name].found, "dispatcher")
        for problem in unconsumed_partitions(name, dispatcher, [edge.source for edge in edges]):
            yield (dispatcher or vertices[name].found).name, problem
        yield from _unconsumed_outputs(vertices[name], edges)
    for name, config_node in vertices.items():
        if config_node.kind not in (None, "consumer") and name not in edges_by_producer:
            message = (
                f"no stage subscribes to {name}, so it would wait for ever: subscribe one to it, "
                "a `discard` stage where its events are of no use"
            )
            yield config_node.found.name, Problem("nobody-subscribes", message)


def _subscriptions(config_node: ConfigNode) -> int:
    """Return the number of subscriptions in the file, also of unreadable ones."""
    value_node = child(config_node.found, "subscribe_to")
    if value_node is None:
        return 0
    return len(value_node.node.items) if isinstance(value_node.node, ListNode) else 1


def _edges(config_node: ConfigNode) -> Iterator[_Edge]:
    """Yield the subscriptions that name a stage; the check of the stage's own keys reports the others."""
    value_node = child(config_node.found, "subscribe_to")
    if value_node is None:
        return
    for item in value_node.node.items if isinstance(value_node.node, ListNode) else (value_node.node,):
        named = child(LocatedNode(item), "stage")
        node = named.node if named else item
        if isinstance(node, ScalarNode) and not node.refused and (node.filled or isinstance(node.value, str)):
            output = child(LocatedNode(item), "output")
            name = output.node.text if output is not None and isinstance(output.node, ScalarNode) else None
            yield _Edge(node.text, node.span, node.shown, LocatedNode(item), name)


def _kind_problems(config_node: ConfigNode) -> Iterator[Placed]:
    if config_node.kind is None:
        return
    what = f"{KIND_NAMES[config_node.kind]}, as every stage of type {config_node.type_name} is"
    subscribe_to = child(config_node.found, "subscribe_to")
    if config_node.kind == "producer" and subscribe_to is not None:
        message = f"{config_node.name} is {what}: it has no input, so remove `subscribe_to`"
        yield subscribe_to.name, Problem("misplaced-key", message, "subscribe_to")
    if config_node.kind != "producer" and (subscribe_to is None or _is_empty(subscribe_to)):
        location = (subscribe_to or config_node.found).name
        yield location, missing_key("subscribe_to", f"{config_node.name} is {what}: it")
    for key in _EMITTING_KEYS if config_node.kind == "consumer" else ():
        found = child(config_node.found, key)
        if found is not None:
            message = f"{config_node.name} is {what}: it emits nothing, so remove `{key}`"
            yield found.name, Problem("misplaced-key", message, key)


def _is_empty(found: LocatedNode) -> bool:
    return isinstance(found.node, ListNode) and not found.node.items


def _edge_problems(edges: Iterable[_Edge], vertices: Mapping[str, ConfigNode]) -> Iterator[Placed]:
    seen: set[tuple[str, str | None]] = set()
    for edge in edges:
        problem = _edge_problem(edge, vertices)
        if problem is None and (edge.producer, edge.output) in seen:
            problem = Problem(
                "duplicate-subscription", f"this stage subscribes to {edge.producer} twice: once is enough"
            )
        if problem is not None:
            yield edge.span, problem
        else:
            producer = vertices[edge.producer]
            dispatcher = child(producer.found, "dispatcher")
            if edge.is_side(producer):
                yield from side_output_problems(f"{edge.producer}.{edge.output}", dispatcher, edge.source)
            elif edge.output is None or producer.outputs is not None:
                yield from _output_problems(edge, producer)
                yield from subscription_problems(edge.producer, dispatcher, edge.source)
        seen.add((edge.producer, edge.output))


def _output_problems(edge: _Edge, producer: ConfigNode) -> Iterator[Placed]:
    """Yield a problem where a subscription names none of the outputs of a stage that has several."""
    value_node, names = child(edge.source, "output"), producer.outputs
    if names is None or edge.output in names:
        return
    if value_node is None and names:
        message = f"{edge.producer} has several outputs: say which, {{stage: {edge.producer}, output: {names[0]}}}"
        yield edge.span, Problem("missing-key", f"{message}; it has {', '.join(names)}", None, names)
    elif value_node is not None:
        shown = value_node.node.shown if isinstance(value_node.node, ScalarNode) else ""
        allowed = (*names, *producer.side_outputs, ERRORS)
        message = f"{edge.producer} has no output `{shown}`: it has "
        option = producer.outputs_with.get(shown)
        message += f"with `{option}`" if option else ", ".join([*allowed[:-1], f"{ERRORS}, for failed events"])
        yield value_node.node.span, Problem("bad-value", message, shown, allowed, close(shown, allowed))


def _unconsumed_outputs(config_node: ConfigNode, edges: Iterable[_Edge]) -> Iterator[Placed]:
    """Yield a problem where an output of a stage has no consumer: it would fill up and stop the stage."""
    edges_by_producer = {edge.output for edge in edges}
    unconsumed = [name for name in config_node.outputs or () if name not in edges_by_producer]
    if unconsumed and edges_by_producer:
        outputs_text = f"outputs {', '.join(unconsumed)}" if len(unconsumed) > 1 else f"output {unconsumed[0]}"
        message = (
            f"no stage takes {outputs_text} of {config_node.name}, which would stop once it is full: subscribe one "
            "to it, a `discard` stage where its events are of no use"
        )
        yield config_node.found.name, Problem("nobody-subscribes", message)


def _edge_problem(edge: _Edge, vertices: Mapping[str, ConfigNode]) -> Problem | None:
    producer = vertices.get(edge.producer)
    if producer is None:
        suggestion = close(edge.written, list(vertices))
        return Problem(
            "unknown-stage", f"there is no stage `{edge.written}`", edge.written, tuple(vertices), suggestion
        )
    if edge.is_errors and producer.kind == "producer":
        message = f"{producer.name} is a source and handles no events, so it has no errors output"
        return Problem("not-a-producer", message, edge.written)
    if producer.kind == "consumer" and not edge.is_errors:
        message = f"{producer.name} is a consumer and emits nothing: subscribe to what feeds it"
        return Problem("not-a-producer", message, edge.written)
    return None


def _circles(edges: Mapping[str, tuple[_Edge, ...]]) -> Iterator[Placed]:
    """Yield one problem for each cycle; cycles that share a stage are reported as one."""
    rest = _producers(edges)
    while circle := find_circle(rest):
        first, following = circle[0], circle[1]
        location = next(edge.span for edge in edges[first] if edge.producer == following)
        way = " -> ".join(circle)
        message = f"these stages subscribe to each other in a circle, {way}: take one of the subscriptions out"
        yield location, Problem("circle", message)
        for name in circle[1:]:
            rest.pop(name)
