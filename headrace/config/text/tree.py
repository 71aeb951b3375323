"""Nodes with locations; tokens into nodes; scalars of YAML 1.2."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from headrace.config.text.findings import ConfigSource, Problem, Report, TextSpan

MAX_DIGITS = 400  # more than any number of a config has; Python refuses 4300

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+", re.ASCII)
_HEX = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})

Plain = str | int | float | bool | None
"""The type of a scalar."""


def resolve(text: str) -> Plain:
    """Return the value of an unquoted scalar; a number of more than 400 digits stays text."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) > MAX_DIGITS:
        return text
    return _number(text)


def _number(text: str) -> str | int | float:
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, 0)
    if _HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITY.fullmatch(text):
        return float(text.replace(".", "", 1))
    return float("nan") if text in _NAN else text


PathStep = str | int
Path = tuple[PathStep, ...]
"""The path from the root to a value: keys and positions in lists."""


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One value. `text` is its characters without quotes; `plain` is true if the file has no quotes around it.

    `template` is the text of the file, with its `${…}`, where variables were put in: `text` and `value` may be secret
    then. `refused` tells that a finding about it exists, so that no other is added. `written` is how the file writes
    it, where the text at `span` is longer.
    """

    span: TextSpan
    text: str
    plain: bool
    value: Plain
    template: str | None = None
    refused: bool = False
    written: str | None = None

    @property
    def filled(self) -> bool:
        """Whether variables were put in."""
        return self.template is not None

    @property
    def shown(self) -> str:
        """The text for a sentence: `${NAME}` in place of the value of a variable."""
        return self.text if self.template is None else self.template


@dataclass(frozen=True, slots=True)
class MapEntry:
    """One key of a mapping, and its value."""

    key: TextSpan
    node: "TreeNode"


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping, in the order of the file."""

    span: TextSpan
    entries: Mapping[str, MapEntry]


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list."""

    span: TextSpan
    items: tuple["TreeNode", ...]


TreeNode = ScalarNode | MapNode | ListNode


@dataclass(frozen=True, slots=True)
class LocatedNode:
    """A node with the span of its key, if it has one."""

    node: TreeNode
    key: TextSpan | None = None

    @property
    def name(self) -> TextSpan:
        """The span that stands for the whole: the key, or the node where it has no key."""
        return self.key or self.node.span


def as_written(node: TreeNode, source: ConfigSource) -> str:
    """Return a value as its file writes it, in one short line; never the value of a variable."""
    if isinstance(node, ScalarNode) and node.written is not None:
        return node.written
    return source.written(node.span)


def values(node: TreeNode) -> object:
    """Return plain Python values: dicts, lists and scalars, a new one for each node."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [values(item) for item in node.items]
    return {key: values(entry.node) for key, entry in node.entries.items()}


def child(found: LocatedNode, step: PathStep) -> LocatedNode | None:
    """Return the node one step below; None if there is none."""
    node = found.node
    if isinstance(node, MapNode):
        entry = node.entries.get(step) if isinstance(step, str) else None
        return LocatedNode(entry.node, entry.key) if entry else None
    if isinstance(node, ListNode) and isinstance(step, int) and 0 <= step < len(node.items):
        return LocatedNode(node.items[step])
    return None


def walk(node: TreeNode, path: Path = ()) -> Iterator[tuple[Path, TreeNode]]:
    """Yield every node with its path, parents first."""
    yield path, node
    if isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from walk(item, (*path, index))
    elif isinstance(node, MapNode):
        for key, entry in node.entries.items():
            yield from walk(entry.node, (*path, key))


def scalars(node: TreeNode) -> Iterator[ScalarNode]:
    """Yield every scalar, in the order of the file."""
    return (below for _, below in walk(node) if isinstance(below, ScalarNode))


_PROPERTIES = re.compile(r"(?:[!&]\S*\s+)*")  # a tag or an anchor before the value
_WITH_ESCAPES = re.compile(
    r"\\u[dD][89abAB]\w{2}\\u\w{4}|\\x\w{2}|\\u\w{4}|\\U\w{8}|\\.|\$\$|[^\n]",  # one unit is one character of the value
)
_SINGLE_QUOTED = re.compile(r"''|\$\$|[^\n]")


def point(node: ScalarNode, text: str, index: int) -> TextSpan:
    """Return the place of character `index` of the node's text; the whole node where it is unknown.

    It is unknown in filled nodes: a place inside them would show how long a secret is.
    """
    if node.filled or not 0 <= index <= len(node.text):
        return node.span
    positions = list(_positions(node, text))
    if len(positions) != len(node.text):
        return node.span
    at = positions[index] if index < len(positions) else positions[-1] + 1 if positions else node.span.start
    return TextSpan(at, at + 1)


def _positions(node: ScalarNode, text: str) -> Iterator[int]:
    properties = _PROPERTIES.match(text, node.span.start, node.span.end)
    start = properties.end() if properties else node.span.start
    quote = text[start : start + 1]
    if quote in {'"', "'"}:
        units = _WITH_ESCAPES if quote == '"' else _SINGLE_QUOTED
        yield from (unit.start() for unit in units.finditer(text, start + 1, node.span.end - 1))
    else:
        if quote in {"|", ">"}:
            start = text.find("\n", start)
        yield from _unquoted(node.text, text, TextSpan(start, node.span.end))


def _unquoted(value: str, text: str, span: TextSpan) -> Iterator[int]:
    """Yield positions. Folding changes only white space: the other characters stand in the order of the file."""
    at = span.start
    for sign in value:
        if not sign.isspace():
            while at < span.end and text[at].isspace():
                at += 1
            if text[at : at + 1] != sign:
                return
        yield at
        at += 2 if text.startswith("$$", at) else 1


MAX_DEPTH = 64  # levels of nesting, aliases followed; a config has about six
MAX_NODES = 100_000  # values after aliases are expanded: an alias bomb ends here


_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class OpenToken:
    """A mapping or a list begins."""

    start: int
    is_map: bool
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class CloseToken:
    """The innermost mapping or list ends."""

    end: int


@dataclass(frozen=True, slots=True)
class ScalarToken:
    """A scalar."""

    node: ScalarNode
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class Alias:
    """A reference to an anchor before it."""

    name: str
    span: TextSpan


Token = OpenToken | CloseToken | ScalarToken | Alias


@dataclass(frozen=True, slots=True)
class _Sized:
    """A node, the number of its values with all aliases expanded, and its depth."""

    node: TreeNode
    count: int = 1
    height: int = 1


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is not closed yet."""

    opening: OpenToken
    entries: dict[str, MapEntry] = field(default_factory=dict)
    items: list[TreeNode] = field(default_factory=list)
    key: tuple[str | None, TextSpan] | None = None
    count: int = 1
    height: int = 0

    def closed(self, end: int) -> _Sized:
        span = TextSpan(self.opening.start, end)
        node: TreeNode = MapNode(span, self.entries) if self.opening.is_map else ListNode(span, tuple(self.items))
        return _Sized(node, self.count, self.height + 1)


class _Assembly:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.root: TreeNode | None = None
        self.frames: list[_Frame] = []
        self.anchors: dict[str, _Sized | None] = {}
        self.count = 0

    def take(self, token: Token) -> None:
        if isinstance(token, OpenToken):
            self._note(token.anchor, None)
            self.frames.append(_Frame(token))
            self._bound(_Sized(ScalarNode(TextSpan(token.start, token.start + 1), "", plain=True, value=None)))
        elif isinstance(token, CloseToken):
            frame = self.frames.pop()
            sized = frame.closed(token.end)
            self._note(frame.opening.anchor, sized)
            self._put(sized)
        elif isinstance(token, ScalarToken):
            sized = _Sized(self._clean(token.node))
            self._note(token.anchor, sized)
            self._bound(sized)
            self._put(sized)
        else:
            sized = self._named(token)
            self._bound(sized)
            self._put(sized)

    def _clean(self, node: ScalarNode) -> ScalarNode:
        """Refuse half of a surrogate pair: no file or terminal could take it."""
        if not _SURROGATE.search(node.text):
            return node
        self.report.add(
            node.span, Problem("bad-value", "the escape is half of a surrogate pair: write the whole character")
        )
        text = _SURROGATE.sub("\ufffd", node.text)
        return replace(node, text=text, value=text)

    def _note(self, anchor: str | None, sized: _Sized | None) -> None:
        """Store the node of an anchor; None while it is still open."""
        if anchor is not None:
            self.anchors[anchor] = sized

    def _named(self, alias: Alias) -> _Sized:
        sized = self.anchors.get(alias.name)
        if sized is not None:
            return sized
        if alias.name in self.anchors:
            problem = Problem(
                "unknown-alias", f"the alias *{alias.name} stands inside its own anchor: it would never end"
            )
        else:
            problem = Problem(
                "unknown-alias", f"no anchor &{alias.name} stands before this alias", found=f"*{alias.name}"
            )
        self.report.add(alias.span, problem)
        return _Sized(ScalarNode(alias.span, "", plain=True, value=None))

    def _bound(self, sized: _Sized) -> None:
        self.count += sized.count
        if self.count > MAX_NODES:
            problem = Problem("too-large", f"the config has more than {MAX_NODES} values once its aliases are expanded")
            raise self.report.failure(sized.node.span, problem)
        if len(self.frames) + sized.height > MAX_DEPTH + 1:
            problem = Problem("too-large", f"the config nests deeper than {MAX_DEPTH} levels")
            raise self.report.failure(sized.node.span, problem)

    def _put(self, sized: _Sized) -> None:
        """Add a finished value to the mapping or list around it."""
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
                frame.entries[name] = MapEntry(span, sized.node)

    def _key(self, frame: _Frame, node: TreeNode) -> str | None:
        """Return the text of a key; None, and a finding, when it is no text or occurs twice."""
        if not isinstance(node, ScalarNode):
            self.report.add(node.span, Problem("bad-key", "a key is text, and not a mapping or a list"))
            return None
        if not isinstance(node.value, str):
            self.report.add(
                node.span,
                Problem("bad-key", "a key is text: put it in quotes", found=node.text, suggestion=f'"{node.text}"'),
            )
        if node.text in frame.entries:
            first = self.report.source.location(frame.entries[node.text].key)
            problem = Problem(
                "duplicate-key", f"the key `{node.text}` stands here twice, first in line {first[0]}", node.text
            )
            self.report.add(node.span, problem)
            return None
        return node.text


def assemble(tokens: Iterable[Token], report: Report) -> TreeNode | None:
    """Return the tree of the tokens; None when there are none.

    Findings go to `report`. Raises `ConfigError` when the tree is larger or deeper than a config may be.
    """
    assembly = _Assembly(report)
    for token in tokens:
        assembly.take(token)
    return assembly.root
