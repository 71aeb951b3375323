"""The example that computes in OS processes prints the same as a plain loop, in the same order."""

import json

import pytest

from headrace.config.pipeline import Pipeline
from tests.house.tree import ROOT


@pytest.mark.asyncio
async def test_each_household_comes_once_with_its_pseudonym(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    async with Pipeline.from_file("examples/pseudonyms.yaml") as pipeline:
        assert (await pipeline.join()).is_fine
    shown = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    from examples.pseudonyms import hide

    first: dict[str, dict[str, object]] = {}
    for line in (ROOT / "examples/data/purchases.jsonl").read_text().splitlines():
        purchase = json.loads(line)
        first.setdefault(purchase["household"], purchase)
    assert shown == [hide(purchase) for purchase in first.values()]
    assert len({one["household"] for one in shown}) == len(first) > 100
