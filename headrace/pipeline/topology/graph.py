"""Checks a graph of stages before a start: names, edges and cycles; pure."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from headrace.errors import GraphError

ERRORS: Final = "errors"
"""The name of the output for events that failed for good."""


STALL_SECONDS: Final = 60.0
"""A stage without progress for this long has stalled, by default."""


StageKind = Literal["producer", "producer_consumer", "consumer"]

KIND_NAMES: Final[dict[StageKind, str]] = {
    "producer": "a producer",
    "producer_consumer": "a producer-consumer",
    "consumer": "a consumer",
}


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One stage: its kind, and the names of the stages to which it subscribes, in order.

    With `is_later` it may subscribe to none before the start: it subscribes while it runs.
    """

    kind: StageKind
    producers: tuple[str, ...] = ()
    is_later: bool = False


def graph_errors(nodes: Mapping[str, GraphNode]) -> list[GraphError]:
    """Return all errors of a graph, in the order of its stages."""
    errors: list[GraphError] = []
    for name, node in nodes.items():
        errors.extend(node_errors(name, node, nodes))
    return errors + circle_errors(nodes)


def circle_errors(nodes: Mapping[str, GraphNode]) -> list[GraphError]:
    """Return the error of a circle of subscriptions, if there is one."""
    circle = find_circle({name: node.producers for name, node in nodes.items()})
    if not circle:
        return []
    return [GraphError(circle[0], f"is part of a circle: {' -> '.join(circle)}; take one of these edges out")]


def node_errors(name: str, node: GraphNode, nodes: Mapping[str, GraphNode]) -> list[GraphError]:
    """Return the errors of one stage of a graph."""
    return [GraphError(name, why) for why in _problems(node, nodes)]


def _problems(node: GraphNode, nodes: Mapping[str, GraphNode]) -> list[str]:
    if node.kind == "producer" and node.producers:
        return [
            f"is a producer and subscribes to {node.producers[0]!r}: a producer has no input; remove the subscription"
        ]
    if node.kind != "producer" and not node.producers and not node.is_later:
        return [f"is {KIND_NAMES[node.kind]} and subscribes to nothing: say to which stage it subscribes"]
    found: list[str] = []
    for producer, times in Counter(node.producers).items():
        if producer not in nodes:
            found.append(f"subscribes to {producer!r}, which does not exist; {suggestion(producer, nodes)}")
        elif nodes[producer].kind == "consumer":
            found.append(
                f"subscribes to {producer!r}, which is a consumer and emits nothing; subscribe to what feeds it"
            )
        if times > 1:
            found.append(f"subscribes to {producer!r} twice; once is enough")
    return found


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a suggestion for an unknown stage name.

    >>> suggestion("purchase", ["visits", "purchases"])
    "did you mean 'purchases'?"
    """
    names = list(known)
    near = get_close_matches(str(name), names, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"


def find_circle(producers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one circle of subscriptions, with its first stage again at the end; empty where there is none.

    >>> find_circle({"a": ["b"], "b": ["a"]})
    ['a', 'b', 'a']
    """
    done: set[str] = set()
    for start in producers:
        if start in done:
            continue
        path = {start: None}
        stack = [(start, iter(producers[start]))]
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.popitem()
                done.add(name)
            elif following in path:
                names = list(path)
                return [*names[names.index(following) :], following]
            elif following in producers and following not in done:
                path[following] = None
                stack.append((following, iter(producers[following])))
    return []


def upstream(name: str, producers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a stage and all stages from which events come to it, directly or through others.

    >>> upstream("sink", {"source": [], "sink": ["middle"], "middle": ["source"]})
    ['sink', 'middle', 'source']
    """
    found, rest = {name: None}, [name]
    while rest:
        for producer in producers.get(rest.pop(), ()):
            if producer not in found:
                found[producer] = None
                rest.append(producer)
    return list(found)


def in_order(producers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names in an order in which each stage follows all its producers. The graph must have no circle.

    The names are read in rounds: each round takes the stages whose producers were taken before.
    """
    consumers: dict[str, list[str]] = {name: [] for name in producers}
    for name, of in producers.items():
        for producer in of:
            consumers[producer].append(name)
    positions = {name: position for position, name in enumerate(producers)}
    rounds = dict.fromkeys(producers, 0)
    missing = {name: len(of) for name, of in producers.items()}
    ready = deque(name for name, count in missing.items() if not count)
    while ready:
        name = ready.popleft()
        for consumer in consumers[name]:
            rounds[consumer] = max(rounds[consumer], rounds[name] + (positions[name] > positions[consumer]))
            missing[consumer] -= 1
            if not missing[consumer]:
                ready.append(consumer)
    return sorted(producers, key=lambda name: (rounds[name], positions[name]))


def output_name(stage: str, output: str) -> str:
    """Return the name of an output as a stage of its own.

    >>> output_name("priced", "errors")
    'priced.errors'
    """
    return f"{stage}.{output}"
