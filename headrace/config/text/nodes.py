"""A parsed config before it is checked: values that know where they stand in the text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.config.text.scalars import Plain
from headrace.config.text.source import Span

Step = str | int
Path = tuple[Step, ...]
"""The way from the root to a value: keys and positions in lists."""


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One value. `text` is its characters without quotes; `plain` says that it had none.

    `filled` says that variables were put in: then `text` and `value` may be secret, and only the file's own text is
    shown. `refused` says that a finding was made of it already, so that nothing more need be said.
    """

    span: Span
    text: str
    plain: bool
    value: Plain
    filled: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping, and what stands under it."""

    key: Span
    node: "Node"


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping, in the order of the file."""

    span: Span
    entries: Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list."""

    span: Span
    items: tuple["Node", ...]


Node = ScalarNode | MapNode | ListNode


@dataclass(frozen=True, slots=True)
class Found:
    """A place in the tree: the node, and its key's span where it stands under a key."""

    node: Node
    key: Span | None = None

    @property
    def name(self) -> Span:
        """Where to point when the thing as a whole is meant: its key, or itself."""
        return self.key or self.node.span


def values(node: Node) -> object:
    """Return plain Python values: dicts, lists and scalars, a new one for each place."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [values(item) for item in node.items]
    return {key: values(entry.node) for key, entry in node.entries.items()}


def child(found: Found, step: Step) -> Found | None:
    """Return what is one step below, or None."""
    node = found.node
    if isinstance(node, MapNode):
        entry = node.entries.get(step) if isinstance(step, str) else None
        return Found(entry.node, entry.key) if entry else None
    if isinstance(node, ListNode) and isinstance(step, int) and 0 <= step < len(node.items):
        return Found(node.items[step])
    return None


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Yield every node with its path, parents first."""
    yield path, node
    if isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from walk(item, (*path, index))
    elif isinstance(node, MapNode):
        for key, entry in node.entries.items():
            yield from walk(entry.node, (*path, key))


def scalars(node: Node) -> Iterator[ScalarNode]:
    """Yield every scalar, in the order of the file."""
    return (below for _, below in walk(node) if isinstance(below, ScalarNode))
