"""The demo's metrics equal the results of SQL on the same file."""

import sqlite3
import sys
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.config.pipeline import Pipeline
from tests.console.web.serving import served
from tests.house.tree import ROOT

pytestmark = pytest.mark.asyncio

Totals = dict[str, float]

LINES = (ROOT / "examples/data/purchases.jsonl").read_text().splitlines()


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """The purchases as a table, parsed by SQLite."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE line (json TEXT)")
    database.executemany("INSERT INTO line VALUES (?)", [(line,) for line in LINES])
    database.execute(
        "CREATE VIEW bought AS SELECT json ->> 'department' AS department, json ->> 'value' AS value,"
        " json ->> 'discount' AS discount FROM line WHERE json ->> 'value' > 0"
    )
    yield database
    database.close()


def totals(database: sqlite3.Connection, sql: str) -> Totals:
    return dict(database.execute(sql).fetchall())


async def metrics_of_the_demo(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[tuple[str, ...], float]]:
    """Run the demo's pipeline to its end; return samples by name and label values, sorted by label."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    pipeline = Pipeline.from_file("examples/purchases.yaml")
    async with served(pipeline) as client:
        await pipeline.start()
        outcome = await pipeline.join()
        text = (await client.get("/metrics")).text
    assert outcome.is_fine
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = (
                sample.value
            )
    return samples


async def test_counts_and_sums_per_department_are_those_of_sql(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = await metrics_of_the_demo(monkeypatch)
    counts = totals(database, "SELECT department, COUNT(*) FROM bought GROUP BY department")
    dollars = totals(database, "SELECT department, SUM(value) FROM bought GROUP BY department")
    assert len(counts) > 10
    assert {department: count for (department,), count in samples["till_purchases_total"].items()} == counts
    assert {department: sum_ for (department,), sum_ in samples["till_dollars_total"].items()} == pytest.approx(dollars)


async def test_the_other_numbers_are_those_of_sql_too(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = await metrics_of_the_demo(monkeypatch)
    discounts = totals(database, "SELECT iif(discount > 0, 'true', 'false') AS d, SUM(discount) FROM bought GROUP BY d")
    assert {d: sum_ for (d,), sum_ in samples["till_discount_dollars_total"].items()} == pytest.approx(discounts)
    buckets = {
        bound: database.execute("SELECT COUNT(*) FROM bought WHERE value + discount <= ?", (float(bound),)).fetchone()[
            0
        ]
        for (bound,) in samples["till_price_dollars_bucket"]
    }
    assert {bound: count for (bound,), count in samples["till_price_dollars_bucket"].items()} == buckets
    given_away = len(LINES) - buckets["+Inf"]
    assert given_away > 0
    assert (
        samples["headrace_stage_events_discarded_total"]["producer_consumer", "till", "filtered", "paid"] == given_away
    )
