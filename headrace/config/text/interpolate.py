"""Variables and files put into the scalars of a parsed config: never into its text, so a value cannot become structure.

`${VAR}` · `${VAR:-default}` when it is unset or empty · `${VAR:?why}` refuses then, with a reason · `${file:path}` is a
file's text without its last line break · `$$` is a dollar. A scalar without quotes that is one `${...}` as a whole gets
its type anew from the core schema; with quotes, and inside longer text, it stays text.
"""

from dataclasses import replace

from headrace.config.text.inside import point
from headrace.config.text.nodes import Entry, ListNode, MapNode, Node, ScalarNode
from headrace.config.text.scalars import resolve
from headrace.config.text.source import Report
from headrace.config.text.variables import BadVariable, Surroundings, fill


def interpolate(node: Node, surroundings: Surroundings, report: Report) -> Node:
    """Return the tree with variables filled in; what cannot be filled in is reported and left as it is written."""
    if isinstance(node, ListNode):
        return ListNode(node.span, tuple(interpolate(item, surroundings, report) for item in node.items))
    if isinstance(node, MapNode):
        entries = {
            key: Entry(entry.key, interpolate(entry.node, surroundings, report)) for key, entry in node.entries.items()
        }
        return MapNode(node.span, entries)
    return _scalar(node, surroundings, report)


def _scalar(node: ScalarNode, surroundings: Surroundings, report: Report) -> ScalarNode:
    if "$" not in node.text:
        return node
    try:
        filled = fill(node.text, surroundings)
    except BadVariable as bad:
        report.add(point(node, report.source.text, bad.at), bad.fault)
        return replace(node, refused=True)
    value = resolve(filled.text) if filled.is_whole and node.plain else filled.text
    return replace(node, text=filled.text, value=value, filled=filled.is_filled)
