"""The links at the root are doors for people: no tool and no import goes through them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import LINKS, ROOT, git, setting, tracked

ROOMS = {"headrace", "tests", "benchmarks", "examples"}
BESIDE = {"docs", "CHANGELOG.md", "README.md"}
SETTINGS = (
    ("pytest", "ini_options", "testpaths"),
    ("mypy", "files"),
    ("ruff", "include"),
    ("importlinter", "root_packages"),
    ("hatch", "build", "targets", "wheel", "packages"),
    ("hatch", "build", "targets", "sdist", "only-include"),
)


def first_folders(paths: list[str]) -> set[str]:
    return {Path(path).parts[0] for path in paths}


def imported_names(source: str) -> set[str]:
    """Returns the first part of each module that the source imports absolutely."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("name", LINKS)
def test_a_root_link_leads_to_its_room(name: str) -> None:
    assert (ROOT / name).readlink() == Path("headrace", name)
    assert (ROOT / name / "__init__.py").is_file()


def test_the_tree_has_no_other_link() -> None:
    links = [entry.split("\t")[1] for entry in git("ls-files", "-s", "-z") if entry.startswith("120000")]
    assert sorted(links) == sorted(LINKS)


@pytest.mark.parametrize("keys", SETTINGS, ids=".".join)
def test_a_tool_names_the_real_folders_only(keys: tuple[str, ...]) -> None:
    named = first_folders(setting("tool", *keys))
    assert "headrace" in named
    assert named <= ROOMS | BESIDE


def test_ruff_reads_nothing_through_a_link() -> None:
    command = [sys.executable, "-P", "-m", "ruff", "check", "--show-files"]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    assert ROOT / "headrace" / "__init__.py" in map(Path, shown)
    assert first_folders([str(Path(name).relative_to(ROOT)) for name in shown]) <= ROOMS


def test_pytest_collects_nothing_through_a_link(request: pytest.FixtureRequest) -> None:
    assert first_folders([item.nodeid for item in request.session.items]) <= {"headrace", "tests"}


@pytest.mark.parametrize("name", [*LINKS, "tests"])
def test_only_headrace_can_be_imported_from_elsewhere(name: str, tmp_path: Path) -> None:
    look = f"import importlib.util as u; print(u.find_spec('headrace') is not None, u.find_spec('{name}') is None)"
    done = subprocess.run([sys.executable, "-c", look], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True"]


def test_no_module_imports_through_a_link() -> None:
    modules = [path for path in tracked() if path.suffix == ".py"]
    through = [str(path) for path in modules if imported_names((ROOT / path).read_text()) & set(LINKS)]
    assert modules
    assert through == []
