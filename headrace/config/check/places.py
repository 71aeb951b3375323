"""Where in the tree the `loc` of a pydantic error leads: it may name branches and indexes that no file has."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.config.text.tree import Found, MapNode, Path, Step, child

_LONGEST = 12  # steps looked at; our models are about four deep, and each step may double the work


@dataclass(frozen=True, slots=True)
class Located:
    """A place in the tree, the path to it, and the steps of the loc that the tree does not have."""

    found: Found
    path: Path = ()
    branches: tuple[tuple[Path, str], ...] = ()
    """Names of unions' branches, each with the path at which it was met."""


def locate(root: Found, loc: Sequence[Step]) -> Located:
    """Return the place that fits best: where the last step is found, and then as many of the others as may be."""
    return _best(Located(root), tuple(loc[:_LONGEST]))[1]


def owner(root: Found, loc: Sequence[Step]) -> Located:
    """Return the mapping that the key at the end of `loc` is missing from."""
    located = locate(root, loc[:-1])
    while located.path and not isinstance(located.found.node, MapNode):
        located = locate(root, located.path[:-1])
    return located


def _best(here: Located, rest: Path) -> tuple[tuple[bool, int], Located]:
    if not rest:
        return (False, len(here.path)), here
    step, rest = rest[0], rest[1:]
    branch = ((here.path, step),) if isinstance(step, str) else ()
    (was_last, count), best = _best(Located(here.found, here.path, here.branches + branch), rest)
    below = child(here.found, step)
    if below is not None:
        taken = _best(Located(below, (*here.path, step), here.branches), rest)
        score = (taken[0][0] or not rest, taken[0][1])
        if score >= (was_last, count):
            return score, taken[1]
    return (was_last, count), best


def label(path: Path) -> str:
    """Return how a sentence calls a place: `metrics[0].buckets`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
