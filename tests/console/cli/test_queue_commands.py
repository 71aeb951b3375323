"""`headrace queues`, `headrace cron` and `headrace registry`."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.console.cli.main import make_app
from headrace.jobs.maintenance.crontab import CronEntry, Crontab
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.sqlite_store import SqliteStore
from tests.console.cli.command import run
from tests.console.cli.job_files import write_files

TIMES = """
@worker(name="times", record=True)
async def times(text: str, count: int = 1) -> str:
    return text * count
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have the files, and an empty store, in the current folder."""
    write_files(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "workers", raising=False)
    (tmp_path / "work.db").touch()
    yield tmp_path
    sys.modules.pop("workers", None)


def called(*words: str) -> Result:
    return CliRunner().invoke(make_app(), [*words])


def told(*words: str) -> dict[str, object]:
    result = called(*words, "--json")
    found: dict[str, object] = json.loads(result.stdout)
    assert found["exit_code"] == result.exit_code
    return found


def queue(name: str = "default") -> dict[str, object]:
    queues = told("queues", "list", "work.yaml")["queues"]
    assert isinstance(queues, list)
    return next(one for one in queues if one["queue"] == name)


def test_queues_are_listed_with_their_limits_and_their_jobs() -> None:
    assert queue() == {"queue": "default", "limit": 5, "is_paused": False, "jobs": {}}
    called("jobs", "enqueue", "work.yaml", "double", "number=1")
    assert queue()["jobs"] == {"available": 1}
    assert "default" in called("queues", "list", "work.yaml").stdout


def test_a_queue_is_paused_resumed_and_scaled() -> None:
    assert told("queues", "pause", "work.yaml", "default")["queues"] == ["default"]
    assert queue()["is_paused"] is True
    assert "paused" in called("queues", "list", "work.yaml").stdout
    called("queues", "resume", "work.yaml", "default")
    called("queues", "scale", "work.yaml", "default", "20")
    assert (queue()["is_paused"], queue()["limit"]) == (False, 20)
    called("queues", "scale", "work.yaml", "default")
    assert queue()["limit"] == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pause", "work.yaml"], "name the queues"),
        (["pause", "work.yaml", "no"], "there is no queue 'no': there are default"),
        (["scale", "work.yaml"], "name one queue"),
        (["scale", "work.yaml", "default", "0"], "no limit"),
        (["scale", "work.yaml", "default", "x"], "no limit"),
        (["scale", "work.yaml", "default", "1.5"], "no limit"),
        (["scale", "work.yaml", "default", "9" * 19], "no limit: write a whole number from 1 to 2,147,483,647"),
        (["scale", "work.yaml", "default", "9" * 9_000], "no limit: write a whole number from 1 to 2,147,483,647"),
        (["list"], "name the config file"),
    ],
)
def test_words_that_make_no_sense_are_usage_errors(words: list[str], said: str) -> None:
    result = called("queues", *words)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_the_crontab_is_listed_and_an_entry_enqueued_at_once() -> None:
    cron = told("cron", "list", "work.yaml")["cron"]
    assert isinstance(cron, list)
    (entry,) = cron
    assert (entry["name"], entry["worker"], entry["last_at"]) == ("yearly", "double", None)
    assert entry["next_at"].endswith("-01-01T03:00:00+00:00")
    assert "never" in called("cron", "list", "work.yaml").stdout
    assert told("cron", "run", "work.yaml", "yearly")["id"] == 1
    jobs = told("jobs", "list", "work.yaml")["jobs"]
    assert isinstance(jobs, list)
    assert [(job["worker"], job["args"]) for job in jobs] == [("double", {"number": 21})]
    missing = called("cron", "run", "work.yaml", "daily")
    assert (missing.exit_code, "yearly" in missing.stderr) == (1, True)


def test_an_entry_that_was_only_seen_has_no_last_time(folder: Path) -> None:
    async def see() -> list[str]:
        store = SqliteStore(folder / "work.db")
        await store.open()
        try:
            await Crontab(store, [CronEntry("0 3 1 1 *", "double", name="yearly")], JobsSettings().now).run()
            return list(await store.last_runs())
        finally:
            await store.close()

    assert "yearly" in asyncio.run(see())
    cron = told("cron", "list", "work.yaml")["cron"]
    assert isinstance(cron, list)
    assert [entry["last_at"] for entry in cron] == [None]
    assert "never" in called("cron", "list", "work.yaml").stdout


def test_a_key_is_added_once_and_found_when_its_work_is_done(folder: Path) -> None:
    assert told("registry", "find", "work.yaml", "double", "7") == {"exit_code": 1, "state": "not found"}
    assert told("registry", "add", "work.yaml", "double", "7")["is_conflict"] is False
    assert told("registry", "add", "work.yaml", "double", "7")["is_conflict"] is True
    assert told("registry", "find", "work.yaml", "double", "7")["state"] == "pending"
    assert run(folder, "run", "work.yaml").returncode == 0
    found = told("registry", "find", "work.yaml", "double", "7")
    assert (found["exit_code"], found["state"], found["value"]) == (0, "found", 14)
    assert "found: 14" in called("registry", "find", "work.yaml", "double", "7").stdout


def test_a_registry_may_have_a_name_of_its_own(folder: Path) -> None:
    text = (folder / "work.yaml").read_text()
    (folder / "work.yaml").write_text(f"{text}  registries: {{doubles: {{worker: double, expires_in: 1h}}}}\n")
    assert told("registry", "add", "work.yaml", "doubles", "7")["is_conflict"] is False
    unknown = called("registry", "find", "work.yaml", "trebles", "7")
    assert (unknown.exit_code, "double, doubles" in unknown.stderr) == (2, True)


def test_a_key_that_does_not_fit_is_refused() -> None:
    result = called("registry", "add", "work.yaml", "double", "seven")
    assert (result.exit_code, "number" in result.stderr) == (1, True)


def test_a_key_of_several_arguments_is_an_object_of_them(folder: Path) -> None:
    with (folder / "workers.py").open("a") as file:
        file.write(TIMES)
    key = '{"text": "ab", "count": 2}'
    assert told("registry", "add", "work.yaml", "times", key)["is_conflict"] is False
    assert told("registry", "find", "work.yaml", "times", key)["state"] == "pending"
    assert told("registry", "find", "work.yaml", "times", "ab")["state"] == "not found"
    jobs = told("jobs", "list", "work.yaml")["jobs"]
    assert isinstance(jobs, list)
    assert jobs[0]["args"] == {"text": "ab", "count": 2}
    slip = called("registry", "add", "work.yaml", "times", '{"txt": "ab"}')
    assert (slip.exit_code, "'text'" in slip.stderr) == (1, True)
