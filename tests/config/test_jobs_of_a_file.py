"""`Jobs.from_config`: a program that enqueues names the config of its runs, and repeats no URL."""

from pathlib import Path

import pytest

from headrace.config.text.findings import ConfigError
from headrace.jobs.errors import BadJobs
from headrace.jobs.jobs import Jobs
from headrace.jobs.stores.sqlite_store import SqliteStore
from tests.fakes import job_workers as workers

TEXT = """
name: shop
jobs: {store: "sqlite:///${folder}/shop.db", queues: {default: 2}, modules: tests.fakes.job_workers}
stages: {numbers: {type: no_such_type, by: "${UNSET}"}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(Path.cwd())
    path = tmp_path / "shop.yaml"
    path.write_text(TEXT.replace("${folder}", str(tmp_path)))
    return path


@pytest.mark.asyncio
async def test_jobs_of_a_config_enqueue_into_its_store_and_run_no_queue(file: Path, tmp_path: Path) -> None:
    async with Jobs.from_config(str(file)) as jobs:
        assert isinstance(jobs.store, SqliteStore)
        assert jobs.store.path == tmp_path / "shop.db"
        assert not jobs.queues
        assert (await (await workers.double.enqueue(1)).job()).state == "available"


@pytest.mark.asyncio
async def test_jobs_of_a_config_run_its_queues_if_they_are_asked_to(file: Path) -> None:
    async with Jobs.from_config(file, runs_queues=True) as jobs:
        assert list(jobs.queues) == ["default"]
        assert await (await workers.double.enqueue(2)).result(5) == 4


def test_a_config_without_jobs_or_with_a_bad_block_is_refused(file: Path) -> None:
    file.write_text("name: shop\nlisten: off\n")
    with pytest.raises(BadJobs, match="a file with the block `jobs:`"):
        Jobs.from_config(file)
    file.write_text("name: shop\njobs: {store: 'nonsense:'}\n")
    with pytest.raises(ConfigError):
        Jobs.from_config(file)
    with pytest.raises(ConfigError):
        Jobs.from_config(file.with_name("missing.yaml"))
