"""Puts the tokens of a text together into one tree, within bounds, and says what is wrong with its keys and aliases."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.config.text.findings import Fault
from headrace.config.text.nodes import Entry, ListNode, MapNode, Node, ScalarNode
from headrace.config.text.source import Report, Span

MAX_DEPTH = 64  # levels of nesting, aliases followed; a config has about six
MAX_NODES = 100_000  # values after aliases are expanded: an alias bomb ends here


_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Opening:
    """A mapping or a list begins."""

    start: int
    is_map: bool
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """The innermost mapping or list ends."""

    end: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar."""

    node: ScalarNode
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class Alias:
    """What an anchor named before, once more."""

    name: str
    span: Span


Token = Opening | Closing | Leaf | Alias


@dataclass(frozen=True, slots=True)
class _Sized:
    """A node, how many values it holds when all is expanded, and how deep it goes."""

    node: Node
    count: int = 1
    height: int = 1


@dataclass(slots=True)
class _Frame:
    """A mapping or list whose end has not come yet."""

    opening: Opening
    entries: dict[str, Entry] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    key: tuple[str | None, Span] | None = None
    count: int = 1
    height: int = 0

    def closed(self, end: int) -> _Sized:
        span = Span(self.opening.start, end)
        node: Node = MapNode(span, self.entries) if self.opening.is_map else ListNode(span, tuple(self.items))
        return _Sized(node, self.count, self.height + 1)


class _Assembly:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.root: Node | None = None
        self.frames: list[_Frame] = []
        self.anchors: dict[str, _Sized | None] = {}
        self.count = 0

    def take(self, token: Token) -> None:
        if isinstance(token, Opening):
            self._note(token.anchor, None)
            self.frames.append(_Frame(token))
            self._bound(_Sized(ScalarNode(Span(token.start, token.start + 1), "", plain=True, value=None)))
        elif isinstance(token, Closing):
            frame = self.frames.pop()
            sized = frame.closed(token.end)
            self._note(frame.opening.anchor, sized)
            self._put(sized)
        elif isinstance(token, Leaf):
            sized = _Sized(self._clean(token.node))
            self._note(token.anchor, sized)
            self._bound(sized)
            self._put(sized)
        else:
            sized = self._named(token)
            self._bound(sized)
            self._put(sized)

    def _clean(self, node: ScalarNode) -> ScalarNode:
        """Refuse half of a character: no file or terminal could take it."""
        if not _SURROGATE.search(node.text):
            return node
        self.report.add(
            node.span, Fault("bad-value", "the escape is half of a surrogate pair: write the whole character")
        )
        text = _SURROGATE.sub("\ufffd", node.text)
        return ScalarNode(node.span, text, node.plain, text)

    def _note(self, anchor: str | None, sized: _Sized | None) -> None:
        """Remember what an anchor names; None while it is still open."""
        if anchor is not None:
            self.anchors[anchor] = sized

    def _named(self, alias: Alias) -> _Sized:
        sized = self.anchors.get(alias.name)
        if sized is not None:
            return sized
        if alias.name in self.anchors:
            fault = Fault("unknown-alias", f"the alias *{alias.name} stands inside its own anchor: it would never end")
        else:
            fault = Fault("unknown-alias", f"no anchor &{alias.name} stands before this alias", found=f"*{alias.name}")
        self.report.add(alias.span, fault)
        return _Sized(ScalarNode(alias.span, "", plain=True, value=None))

    def _bound(self, sized: _Sized) -> None:
        self.count += sized.count
        if self.count > MAX_NODES:
            fault = Fault("too-large", f"the config has more than {MAX_NODES} values once its aliases are expanded")
            raise self.report.refusal(sized.node.span, fault)
        if len(self.frames) + sized.height > MAX_DEPTH + 1:
            fault = Fault("too-large", f"the config nests deeper than {MAX_DEPTH} levels")
            raise self.report.refusal(sized.node.span, fault)

    def _put(self, sized: _Sized) -> None:
        """Give a finished value to the mapping or list around it."""
        if not self.frames:
            self.root = sized.node
            return
        frame = self.frames[-1]
        frame.count += sized.count
        frame.height = max(frame.height, sized.height)
        if not frame.opening.is_map:
            frame.items.append(sized.node)
        elif frame.key is None:
            frame.key = (self._key(frame, sized.node), sized.node.span)
        else:
            (name, span), frame.key = frame.key, None
            if name is not None:
                frame.entries[name] = Entry(span, sized.node)

    def _key(self, frame: _Frame, node: Node) -> str | None:
        """Return the key that a node is; None, and a finding, when it is none or stands there already."""
        if not isinstance(node, ScalarNode):
            self.report.add(node.span, Fault("bad-key", "a key is text, and not a mapping or a list"))
            return None
        if not isinstance(node.value, str):
            self.report.add(
                node.span,
                Fault("bad-key", "a key is text: put it in quotes", found=node.text, suggestion=f'"{node.text}"'),
            )
        if node.text in frame.entries:
            first = self.report.source.place(frame.entries[node.text].key)
            fault = Fault(
                "duplicate-key", f"the key `{node.text}` stands here twice, first in line {first[0]}", node.text
            )
            self.report.add(node.span, fault)
            return None
        return node.text


def assemble(tokens: Iterable[Token], report: Report) -> Node | None:
    """Return the tree of the tokens, or None when there are none.

    Findings go to `report`; raises ConfigError when the tree is larger or deeper than a config may be.
    """
    assembly = _Assembly(report)
    for token in tokens:
        assembly.take(token)
    return assembly.root
