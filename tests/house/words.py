"""Counts banned words in the names and docstrings of headrace."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT, tracked

GROUP_A: Final = (
    "told", "untell", "heirs?", "office", "(?<!dead_)letters?", "born", "births", "in_hand", "heed(?:ing)?",
    "settl(?:e|es|ed|ing)", "farewell", "forg(?:o|one)", "upkeep", "chores?", "claimants?", "give_?up", "given_?up",
    "giving_?up", "fates?", "judge[ds]?", "bur(?:y|ied)", "takers?", "in_vain", "inlets?", "outlets?", "faults?",
    "troubles", "surroundings", "greet(?:ed)?", "admi(?:tted|ssion)",
)  # fmt: skip
"""Banned in identifiers and docstrings."""

GROUP_B: Final = (
    "tells?", "say|says|said", "hears?|heard", "unheard", "coming", "hand", "doubles?", "cares?|careful", "several",
    "(?<!in_)flight|fly|flying", "land|landed", "elsewhere", "entrance", "feed|feeder|fed", "sole", "strangers?",
    "verdicts?", "outlook", "standing", "endings?", "party", "spent", "beats?", "aside", "gone", "desk", "door",
    "guard", "conclude|retire|abandon", "looks?|looking", "attend|attendance", "wish|wishes", "share", "unload",
    "refusals?", "omissions", "digest", "lives|living", "pace", "dawn", "patience", "moments?", "grid|cell",
    "departures", "words?", "places?", "marks?", "holds?|held", "asking", "meter", "vertex", "mask",
)  # fmt: skip
"""Banned in identifiers; in docstrings most of them are plain English."""

GROUP_C: Final = (
    "what (?:is|was|has|it|they|becomes?|became|came)", "(?:becomes?|became|come|came) of", "take note", "do the same",
    "those (?:who|that|of)", "nobody", "somebody", "whoever", "lets? go of", "said", "set aside", "doubles?",
    "how many(?:eth|yeth)",
)  # fmt: skip
"""Banned phrases in docstrings; a docstring that begins with "What" counts too."""

WHAT: Final = "a docstring that begins with What"


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Yield each name of a function, class, argument, attribute, variable and keyword argument, once an occurrence."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                yield name
            case _:
                pass


def docstrings(tree: ast.AST) -> Iterator[str]:
    """Yield each docstring in lower case, its white space collapsed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield " ".join(text.lower().split())


def snake_case(name: str) -> str:
    """Return a name as snake_case, without outer underscores."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_")


def count(words: Iterable[str], texts: Iterable[str]) -> Counter[str]:
    """Return how often each word occurs in the texts."""
    found: Counter[str] = Counter()
    patterns = {word: re.compile(rf"(?<![a-z])(?:{word})(?![a-z])") for word in words}
    for text in texts:
        for word, pattern in patterns.items():
            found[word] += len(pattern.findall(text))
    return found


def modules() -> list[tuple[Path, ast.Module]]:
    """Return each module of headrace with its tree."""
    return [(path, ast.parse((ROOT / path).read_text())) for path in tracked("headrace") if path.suffix == ".py"]


def names_in(found: Iterable[tuple[Path, ast.Module]], allowed: Iterable[str]) -> list[str]:
    """Return every name, file names included, but for the allowed ones."""
    kept = set(allowed)
    names: list[str] = []
    for path, tree in found:
        names += [snake_case(name) for name in (path.stem, *identifiers(tree)) if name not in kept]
    return names
