"""Takes keys out of a config before it is checked: the user's own, and those that a command does not read."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from headrace.config.text.tree import MapEntry, MapNode

_NAMING: Final = frozenset({"type", "subscribe_to", "concurrency", "partition_by", "buffer"})
"""The keys of a stage that decide which stages a run has, and how they are called."""


_EXTRA: Final = "x-"
"""What the user's own keys at the top begin with: a place for anchors and notes, as in Compose files."""


def without_extras(tree: MapNode) -> MapNode:
    """Return a config without its keys that begin with `x-`; no variable in them need be set."""
    return replace(tree, entries={key: entry for key, entry in tree.entries.items() if not key.startswith(_EXTRA)})


def pruned(tree: MapNode, keys: Collection[str]) -> MapNode:
    """Return a config with only these keys at its top, and with only the naming keys of each stage."""
    entries = {key: entry for key, entry in tree.entries.items() if key in keys}
    stages = entries.get("stages")
    if stages is not None and isinstance(stages.node, MapNode):
        named = {name: _stage(entry) for name, entry in stages.node.entries.items()}
        entries["stages"] = replace(stages, node=replace(stages.node, entries=named))
    return replace(tree, entries=entries)


def _stage(entry: MapEntry) -> MapEntry:
    if not isinstance(entry.node, MapNode):
        return entry
    kept = {key: below for key, below in entry.node.entries.items() if key in _NAMING}
    return replace(entry, node=replace(entry.node, entries=kept))
