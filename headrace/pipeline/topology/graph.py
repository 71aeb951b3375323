"""What makes a graph of stages sound: pure checks on names and edges, before anything is started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from headrace.ground.errors import GraphError

Kind = Literal["producer", "producer_consumer", "consumer"]

KIND_WORDS: Final[dict[Kind, str]] = {
    "producer": "a producer",
    "producer_consumer": "a producer-consumer",
    "consumer": "a consumer",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One stage: what it is, and the names of the stages to which it subscribes, in order."""

    kind: Kind
    producers: tuple[str, ...] = ()


def graph_errors(nodes: Mapping[str, Node]) -> list[GraphError]:
    """Return everything that is wrong with a graph, in the order of its stages."""
    errors: list[GraphError] = []
    for name, node in nodes.items():
        errors.extend(GraphError(name, why) for why in _node_errors(node, nodes))
    circle = find_circle({name: node.producers for name, node in nodes.items()})
    if circle:
        errors.append(GraphError(circle[0], f"is part of a circle: {' -> '.join(circle)}; take one of these edges out"))
    return errors


def _node_errors(node: Node, nodes: Mapping[str, Node]) -> list[str]:
    if node.kind == "producer" and node.producers:
        return [
            f"is a producer and subscribes to {node.producers[0]!r}: a producer has no input; remove the subscription"
        ]
    if node.kind != "producer" and not node.producers:
        return [f"is {KIND_WORDS[node.kind]} and subscribes to nothing: say to which stage it subscribes"]
    found: list[str] = []
    for producer in dict.fromkeys(node.producers):
        if producer not in nodes:
            near = get_close_matches(producer, nodes, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(nodes)}"
            found.append(f"subscribes to {producer!r}, which does not exist; {hint}")
        elif nodes[producer].kind == "consumer":
            found.append(
                f"subscribes to {producer!r}, which is a consumer and emits nothing; subscribe to what feeds it"
            )
        if node.producers.count(producer) > 1:
            found.append(f"subscribes to {producer!r} twice; once is enough")
    return found


def find_circle(producers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one circle along the subscriptions, its first stage named again at the end; empty if there is none.

    >>> find_circle({"a": ["b"], "b": ["a"]})
    ['a', 'b', 'a']
    """
    done: set[str] = set()
    for start in producers:
        if start in done:
            continue
        path = [start]
        stack = [(start, iter(producers[start]))]
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.pop()
                done.add(name)
            elif following in path:
                return [*path[path.index(following) :], following]
            elif following in producers and following not in done:
                path.append(following)
                stack.append((following, iter(producers[following])))
    return []


def in_order(producers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names so that every stage comes after all to which it subscribes. The graph has no circle."""
    ordered: dict[str, None] = {}
    waiting = dict.fromkeys(producers)
    while waiting:
        for name in list(waiting):
            if all(producer in ordered for producer in producers[name]):
                ordered[name] = None
                del waiting[name]
    return list(ordered)
