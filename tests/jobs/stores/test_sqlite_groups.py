"""Members of workflows, batches and chains in SQLite: found by an index, and no burden to others."""

import sqlite3
from pathlib import Path

import pytest

from headrace.jobs.rules.flows import GROUP_KEYS
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.sqlite_store import SqliteStore, condition, prepare


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "jobs.db")
    prepare(connection)
    return connection


@pytest.mark.parametrize("key", GROUP_KEYS)
def test_the_members_of_a_group_are_found_by_its_index(connection: sqlite3.Connection, key: str) -> None:
    where = condition(f"meta_{key}")
    text = f"explain query plan select id from oban_jobs where {where}"  # noqa: S608 - all constants
    plan = connection.execute(text, ("x",)).fetchall()
    assert f"headrace_jobs_{key.removesuffix('_id')} " in str(plan)
    connection.close()


def test_a_meta_that_is_no_json_can_be_kept_all_the_same(connection: sqlite3.Connection) -> None:
    for meta in ("no json", "", "[1]", '{"workflow_id":'):
        connection.execute("insert into oban_jobs (worker, meta) values ('hand', ?)", (meta,))
    assert connection.execute("select count(*) from oban_jobs").fetchone() == (4,)
    connection.close()


@pytest.mark.asyncio
async def test_the_first_of_a_long_chain_is_found_without_sorting_it(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    texts: list[str] = []
    connection.commit()
    store = SqliteStore(tmp_path / "jobs.db")
    await store.open()
    await store._reader.run(lambda reader: reader.set_trace_callback(texts.append))
    await store.find(JobFilter(states=frozenset({"suspended"}), meta={"chain_id": "x"}), 1, is_newest_first=False)
    await store.close()
    (text,) = (text for text in texts if "oban_jobs" in text)
    plan = str(connection.execute(f"explain query plan {text}").fetchall())
    assert "headrace_jobs_chain (<expr>=? AND state=?)" in plan
    assert "ORDER BY" not in plan
    connection.close()
