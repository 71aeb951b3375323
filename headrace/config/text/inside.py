"""Where a character of a value stands in the file, behind quotes, escapes and folded lines."""

import re
from collections.abc import Iterator

from headrace.config.text.nodes import ScalarNode
from headrace.config.text.source import Span

_PROPERTIES = re.compile(r"(?:[!&]\S*\s+)*")  # a tag or an anchor before the value
_DOUBLE = re.compile(
    r"\\u[dD][89abAB]\w{2}\\u\w{4}|\\x\w{2}|\\u\w{4}|\\U\w{8}|\\.|\$\$|[^\n]",  # one unit is one character of the value
)
_SINGLE = re.compile(r"''|\$\$|[^\n]")


def point(node: ScalarNode, text: str, index: int) -> Span:
    """Return where character `index` of the node's text stands; the whole node where nobody can tell.

    Filled nodes are never looked into: a place inside them would tell how long a secret is.
    """
    if node.filled or not 0 <= index <= len(node.text):
        return node.span
    places = list(_places(node, text))
    if len(places) != len(node.text):
        return node.span
    at = places[index] if index < len(places) else places[-1] + 1 if places else node.span.start
    return Span(at, at + 1)


def _places(node: ScalarNode, text: str) -> Iterator[int]:
    properties = _PROPERTIES.match(text, node.span.start, node.span.end)
    start = properties.end() if properties else node.span.start
    quote = text[start : start + 1]
    if quote in {'"', "'"}:
        units = _DOUBLE if quote == '"' else _SINGLE
        yield from (unit.start() for unit in units.finditer(text, start + 1, node.span.end - 1))
    else:
        if quote in {"|", ">"}:
            start = text.find("\n", start)
        yield from _unquoted(node.text, text, Span(start, node.span.end))


def _unquoted(value: str, text: str, span: Span) -> Iterator[int]:
    """Folding changes white space alone: the other characters come in the order of the file."""
    at = span.start
    for sign in value:
        if not sign.isspace():
            while at < span.end and text[at].isspace():
                at += 1
            if text[at : at + 1] != sign:
                return
        yield at
        at += 2 if text.startswith("$$", at) else 1
