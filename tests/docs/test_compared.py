"""The table that compares job systems links each feature of headrace to a test or page, or says "not yet"."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "jobs-compared.md"
SYSTEMS = ["Oban", "Oban for Python", "Sidekiq", "Exq", "verk", "Resque", "headrace"]


def rows() -> list[list[str]]:
    """Return the cells of each row, including the heads."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_row_describes_each_system() -> None:
    assert len(rows()) > 45
    assert [row for row in rows() if len(row) != 1 + len(SYSTEMS) or not all(row)] == []
    assert [row[1:] for row in rows() if row[0] == "feature"] == [SYSTEMS] * 2


def test_each_feature_of_headrace_has_a_link_or_is_marked_as_missing() -> None:
    ours = [row[-1] for row in rows() if row[0] != "feature"]
    assert [cell for cell in ours if "](" not in cell and "not yet" not in cell] == []
    assert [cell for cell in ours if "paid" in cell or "\N{EN DASH}" in cell] == []
    assert len(re.findall(r"\]\(\.\./tests/", "".join(ours))) > 40
