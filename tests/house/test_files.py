"""Files and folders stay within their sizes; a public class name occurs once."""

import ast
from collections import Counter
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT, tracked
from tests.house.words import modules

LONGEST_LINES: Final = 500
SMALL_LINES: Final = 40
SMALL_FILES: Final = 14
"""At most this many files have 40 lines or less, `__init__.py` and stage types apart."""

STAGE_TYPES: Final = ("sources", "transforms", "sinks")
"""Folders that hold as many files as there are types."""

FULL_FOLDERS: Final[dict[str, int]] = {}
"""Folders with more files than 10 (12 with subfolders), and how many."""

STAGE_CLASSES: Final = {"Batch", "Discard", "Sample"}
"""Stage classes carry the name of their YAML type, beside `Batch` and `Discard` of jobs."""

DOUBLES: Final = 0
"""Public class names that occur more than once."""


def _files() -> list[Path]:
    return [path for path in tracked("headrace") if path.suffix == ".py"]


def _lines(path: Path) -> int:
    return len((ROOT / path).read_text().splitlines())


def test_no_file_is_longer_than_500_lines() -> None:
    assert [f"{path}: {_lines(path)}" for path in _files() if _lines(path) > LONGEST_LINES] == []


def test_small_files_do_not_grow_in_number() -> None:
    files = [path for path in _files() if path.name != "__init__.py" and path.parent.name not in STAGE_TYPES]
    small = [str(path) for path in files if _lines(path) <= SMALL_LINES]
    assert len(small) <= SMALL_FILES, small


def test_folders_hold_ten_files_or_twelve_beside_subfolders() -> None:
    files = Counter(str(path.parent) for path in _files() if path.name != "__init__.py")
    parents = {str(path.parent.parent) for path in _files()}
    full = {
        folder: number
        for folder, number in files.items()
        if number > (12 if folder in parents else 10) and Path(folder).name not in STAGE_TYPES
    }
    assert full == FULL_FOLDERS


def test_public_class_names_occur_once() -> None:
    names = Counter(
        node.name
        for _, tree in modules()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    doubles = sorted(name for name, number in names.items() if number > 1 and name not in STAGE_CLASSES)
    assert len(doubles) == DOUBLES, doubles
