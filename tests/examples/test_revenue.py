"""The revenue per department and hour equals the result of plain Python on the same file, to the cent."""

import json
import statistics
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from headrace.config.pipeline import Pipeline
from tests.house.tree import ROOT

pytestmark = pytest.mark.asyncio

Hours = dict[tuple[str, str], list[dict[str, object]]]


def purchases_by_hour() -> Hours:
    """Group purchases by hour and department, with money as decimals."""
    found: Hours = {}
    for line in (ROOT / "examples/data/purchases.jsonl").read_text().splitlines():
        purchase = json.loads(line, parse_float=Decimal)
        found.setdefault((purchase["at"][:13], purchase["department"]), []).append(purchase)
    return found


async def results_of_the_example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("REVENUE", str(folder / "revenue.jsonl"))
    pipeline = Pipeline.from_file("examples/revenue.yaml")
    await pipeline.start()
    outcome = await pipeline.join()
    assert outcome.is_fine
    return [json.loads(line) for line in (folder / "revenue.jsonl").read_text().splitlines()]


async def test_revenue_is_right_to_the_cent_in_every_hour_and_department(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = await results_of_the_example(tmp_path, monkeypatch)
    expected = {
        (f"{hour}:00:00Z", department): sum((Decimal(str(one["value"])) for one in purchases), Decimal(0))
        for (hour, department), purchases in purchases_by_hour().items()
    }
    found = {(one["window_start"], one["department"]): one["revenue"] for one in results}
    assert len(expected) > 500
    assert len(results) == len(expected)
    assert {key: Decimal(repr(revenue)) for key, revenue in found.items()} == expected


async def test_the_other_values_are_those_of_the_same_purchases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = await results_of_the_example(tmp_path, monkeypatch)
    by_hour = purchases_by_hour()
    assert sum(int(str(one["items"])) for one in results) == sum(map(len, by_hour.values()))
    for one in results:
        mine = by_hour[str(one["window_start"])[:13], str(one["department"])]
        assert one["items"] == len(mine)
        assert one["households"] == len({purchase["household"] for purchase in mine})
        median = float(statistics.median_low(Decimal(str(purchase["value"])) for purchase in mine))
        assert abs(float(str(one["usual_price"])) - median) <= 0.01 * median + 0.005001
        assert one["revision"] == 1
