"""The registry example makes each department's report once, stores it, and computes it correctly."""

import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from headrace.config.jobs import registries_of
from headrace.config.pipeline import Pipeline
from headrace.jobs.results import Found
from headrace.jobs.rules.job_filter import JobFilter
from tests.house.tree import ROOT

pytestmark = pytest.mark.asyncio

EXAMPLE = (ROOT / "examples/registry.yaml").read_text()
LINES = (ROOT / "examples/data/purchases.jsonl").read_text().splitlines()
DEPARTMENTS = Counter(str(json.loads(line)["department"]) for line in LINES)


def example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Make the pipeline of the example, with its store in the test's folder."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / "examples")
    store = "sqlite:///var/registry.db"
    assert store in EXAMPLE
    text = EXAMPLE.replace(store, f"sqlite:///{folder}/var/registry.db?synchronous=normal")
    return Pipeline.from_text(text, folder=ROOT / "examples", environ={})


async def test_every_department_has_its_report_once_also_after_a_second_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert (await example(tmp_path, monkeypatch).run()).is_fine
    pipeline = example(tmp_path, monkeypatch)
    assert pipeline.config is not None
    assert pipeline.config.jobs is not None
    registry = registries_of(pipeline.config.jobs)["reports"]
    jobs = pipeline.jobs
    assert jobs is not None
    async with jobs:
        assert await jobs.store.count(JobFilter()) == len(DEPARTMENTS)
        found = {department: await registry.find(department) for department in DEPARTMENTS}
    assert all(isinstance(answer, Found) for answer in found.values())
    assert dollars(found["GROCERY"]) == dollars_by_sql("GROCERY")


def dollars(answer: object) -> object:
    assert isinstance(answer, Found)
    return getattr(answer.value, "dollars", None)


def dollars_by_sql(department: str) -> object:
    database = sqlite3.connect(":memory:")
    try:
        database.execute("CREATE TABLE line (json TEXT)")
        database.executemany("INSERT INTO line VALUES (?)", [(line,) for line in LINES])
        sql = "SELECT round(sum(json ->> 'value'), 2) FROM line WHERE json ->> 'department' = ?"
        (total,) = database.execute(sql, (department,)).fetchone()
    finally:
        database.close()
    found: object = total
    return found
