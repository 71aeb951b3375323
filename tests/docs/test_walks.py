"""The walks of CONTRIBUTING name files that exist, and stay short."""

import re
from typing import Final

import pytest

from tests.house.tree import ROOT

LIMITS: Final = {"An event": 23, "A job": 24, "The key": 19}
"""The most files of each walk: two thirds of the walks before the engines were merged."""


@pytest.mark.parametrize("title", LIMITS)
def test_a_walk_names_existing_files_within_its_limit(title: str) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = re.search(rf"^### {title} .*?(?=^##)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    files = re.findall(r"^\| (\d+) \| `([\w/]+\.py)` \|", section[0], re.MULTILINE)
    assert [int(number) for number, _ in files] == list(range(1, len(files) + 1))
    assert [file for _, file in files if not (ROOT / "headrace" / file).is_file()] == []
    assert 10 < len({file for _, file in files}) <= LIMITS[title]
