"""Docs, README and examples import only from the public modules of headrace."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.house.tree import ROOT, tracked

PUBLIC: Final = {
    "headrace",
    "headrace.jobs",
    "headrace.otp",
    "headrace.dispatchers",
    "headrace.errors",
    "headrace.testing",
    "headrace.dead_letters",
    "headrace.stages",
}
PAGES: Final = [path for path in tracked("docs", "README.md", "examples") if path.suffix in {".md", ".py"}]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_names_public_modules_alone(page: Path) -> None:
    text = (ROOT / page).read_text()
    named = set(re.findall(r"^\s*(?:from|import) (headrace(?:\.\w+)*)", text, re.MULTILINE))
    named |= set(re.findall(r"\b(headrace(?:\.[a-z_]+)+):[A-Z]", text))
    assert named <= PUBLIC, named - PUBLIC


def test_the_pages_name_headrace_at_all() -> None:
    assert sum("from headrace import" in (ROOT / page).read_text() for page in PAGES) > 10
