"""The metrics page lists exactly the reasons for which stages discard events."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import headrace
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.stage.stage import Stage

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
CALLS = {"discard", "leave", "leave_outputs"}


def modules() -> Iterator[ModuleType]:
    for package in ("pipeline", "stages"):
        folder = headrace.__path__[0] + f"/{package}"
        for found in pkgutil.walk_packages([folder], f"headrace.{package}."):
            yield importlib.import_module(found.name)


def reasons_in(module: ModuleType) -> Iterator[str]:
    """Yield every reason that a call in the module passes, as a literal or a constant of the module."""
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            for part in (inner for argument in node.args[1:] for inner in ast.walk(argument)):
                value = vars(module).get(part.id) if isinstance(part, ast.Name) else getattr(part, "value", None)
                if isinstance(value, str):
                    yield value


def known_reasons() -> set[str]:
    found = set(StageCounts("any").discarded)
    for module in modules():
        found.update(reasons_in(module))
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Stage):
                found.update(value.known_discards)
    return found


def test_the_metrics_page_lists_every_reason_for_which_events_are_discarded() -> None:
    table = PAGE.partition("| reason |")[2].partition("\n\n")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert documented == known_reasons()
    assert {"dead_lettered", "duplicate", "sampled"} <= documented
