"""The table that compares job systems: of headrace it says what tests or pages show, or that it is not there yet."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "jobs-compared.md"
SYSTEMS = ["Oban", "Oban for Python", "Sidekiq", "Exq", "verk", "Resque", "headrace"]


def rows() -> list[list[str]]:
    """Return the cells of each row, those of the heads, too."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_row_says_something_of_each_system() -> None:
    assert len(rows()) > 45
    assert [row for row in rows() if len(row) != 1 + len(SYSTEMS) or not all(row)] == []
    assert [row[1:] for row in rows() if row[0] == "feature"] == [SYSTEMS] * 2


def test_what_headrace_has_is_shown_and_what_it_has_not_is_said() -> None:
    ours = [row[-1] for row in rows() if row[0] != "feature"]
    assert [cell for cell in ours if "](" not in cell and "not yet" not in cell] == []
    assert [cell for cell in ours if "paid" in cell or "\N{EN DASH}" in cell] == []
    assert len(re.findall(r"\]\(\.\./tests/", "".join(ours))) > 40
