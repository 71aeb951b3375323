"""The example with custom stages runs, and docs/custom-stages.md shows its code."""

import sys

import pytest

from headrace.config.pipeline import Pipeline
from tests.house.tree import ROOT


@pytest.mark.asyncio
async def test_a_config_runs_stages_that_lie_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    async with Pipeline.from_file(ROOT / "examples/custom_stages.yaml") as pipeline:
        assert (await pipeline.join()).is_fine
    assert capsys.readouterr().out == "total 1 (normal)\n"


def test_the_page_shows_the_example_as_it_is() -> None:
    page = (ROOT / "docs/custom-stages.md").read_text()
    _, _, classes = (ROOT / "examples/custom_stages.py").read_text().partition("\n\n")
    assert classes in page
    _, _, stages = (ROOT / "examples/custom_stages.yaml").read_text().partition("stages:\n")
    assert stages in page
