"""The routing example sends every purchase to the same output as a plain loop."""

import json
import sqlite3
from pathlib import Path

import pytest

from headrace.config.files import load_file
from headrace.config.pipeline import Pipeline
from tests.house.tree import ROOT

FRESH = {"PRODUCE", "MEAT", "DELI", "PASTRY", "SEAFOOD"}


@pytest.mark.asyncio
async def test_every_purchase_goes_the_way_of_its_department(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    config = load_file("examples/routing.yaml", environ={"OUT": str(tmp_path)})
    async with Pipeline.from_config(config) as pipeline:
        assert (await pipeline.join()).is_fine
    sold = [json.loads(line) for line in (ROOT / "examples/data/purchases.jsonl").read_text().splitlines()]
    fresh = [one for one in sold if one["department"] in FRESH]
    grocery = [one for one in sold if one["department"] == "GROCERY"]
    rest = [one for one in sold if one["department"] not in {*FRESH, "GROCERY"}]
    packs = [json.loads(line) for line in (tmp_path / "fresh.jsonl").read_text().splitlines()]
    assert [one for pack in packs for one in pack] == fresh
    assert {len(pack) for pack in packs[:-1]} == {50}
    (counted,) = (stage for stage in pipeline.snapshot().stages if stage.name == "grocery")
    assert counted.events_received == len(grocery)
    connection = sqlite3.connect(tmp_path / "rest.db")
    rows = connection.execute("select basket, product, value from rest").fetchall()
    connection.close()
    assert rows == [(one["basket"], one["product"], one["value"]) for one in rest]
    assert len(fresh) + len(grocery) + len(rest) == 20_000
    assert min(map(len, (fresh, grocery, rest))) > 500
    assert (tmp_path / "refused.jsonl").read_text() == ""
