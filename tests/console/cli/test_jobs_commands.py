"""`headrace jobs`: its words, its filters, and what it asks before it changes many."""

import asyncio
import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.console.cli.main import make_app
from headrace.jobs.flows.workflow import Workflow
from headrace.jobs.job import NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.stores.sqlite_store import SqliteStore
from tests.console.cli.command import HEADRACE
from tests.console.cli.job_files import write_files
from tests.fakes.elixir_rows import raw


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have the files, and a store with 3 doubles and 2 that are to be given up, in the current folder."""
    write_files(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "workers", raising=False)
    (tmp_path / "work.db").touch()
    for number in range(3):
        assert called("enqueue", "work.yaml", "double", f"number={number}").exit_code == 0
    for _ in range(2):
        assert called("enqueue", "work.yaml", "give_up", "why=no", "--queue", "sad", "--in", "1h").exit_code == 0
    yield tmp_path
    sys.modules.pop("workers", None)


def called(*words: str) -> Result:
    return CliRunner().invoke(make_app(), ["jobs", *words])


def told(*words: str) -> dict[str, object]:
    result = called(*words, "--json")
    found: dict[str, object] = json.loads(result.stdout)
    assert found["exit_code"] == result.exit_code
    return found


def ids(*words: str) -> list[int]:
    jobs = told("list", "work.yaml", *words)["jobs"]
    assert isinstance(jobs, list)
    return [job["id"] for job in jobs]


@pytest.mark.usefixtures("folder")
def test_jobs_are_listed_the_newest_first_and_by_what_they_have_in_common() -> None:
    assert ids() == [5, 4, 3, 2, 1]
    assert ids("--state", "scheduled") == [5, 4]
    assert ids("--queue", "default", "--limit", "2") == [3, 2]
    assert ids("--queue", "default", "--before", "2") == [1]
    assert ids("--worker", "double", "--args", "number=1") == [2]
    assert ids("--tag", "SAD") == [5, 4]
    assert ids("--args", "why=no", "--state", "available") == []


@pytest.mark.usefixtures("folder")
def test_a_list_is_for_people_too() -> None:
    result = called("list", "work.yaml")
    assert result.exit_code == 0
    assert '{"number": 2}' in result.stdout
    assert "5 of 5 jobs" in result.stdout
    assert "--before 4" in called("list", "work.yaml", "--limit", "2").stdout


@pytest.mark.usefixtures("folder")
def test_a_store_may_be_named_by_its_url() -> None:
    jobs = told("list", "--store", "sqlite:///work.db")["jobs"]
    assert isinstance(jobs, list)
    assert len(jobs) == 5


@pytest.mark.usefixtures("folder")
def test_a_job_is_shown_with_all_there_is_about_it() -> None:
    jobs = told("show", "work.yaml", "4")["jobs"]
    assert isinstance(jobs, list)
    (job,) = jobs
    assert (job["worker"], job["args"], job["queue"], job["tags"]) == ("give_up", {"why": "no"}, "sad", ["sad"])
    assert "give_up" in called("show", "work.yaml", "4").stdout
    assert "there is no job 99" in str(told("show", "work.yaml", "99")["error"])


@pytest.mark.usefixtures("folder")
def test_jobs_are_changed_by_their_numbers_at_once() -> None:
    assert told("run-now", "work.yaml", "4")["changed"] == [4]
    assert told("cancel", "work.yaml", "1", "2")["changed"] == [1, 2]
    assert ids("--state", "cancelled") == [2, 1]
    assert told("retry", "work.yaml", "1")["changed"] == [1]
    assert told("delete", "work.yaml", "2", "99") == {"exit_code": 1, "changed": [2], "unchanged": [99]}
    assert ids() == [5, 4, 3, 1]


def test_a_retried_step_of_a_workflow_has_those_after_it_wait_again(folder: Path) -> None:
    async def begin() -> list[int]:
        flow = Workflow()
        flow.add(NewJob("double"), "b", after=[flow.add(NewJob("double"), "a")])
        async with Jobs(f"sqlite:///{folder / 'work.db'}", ["workers"]) as jobs:
            run = await flow.start(jobs)
            await run.cancel("a")
            return [job.id for job in (await run.jobs()).values()]

    first, second = asyncio.run(begin())
    assert ids("--state", "cancelled") == [second, first]
    assert told("retry", "work.yaml", str(first))["changed"] == [first, second]
    assert ids("--state", "suspended") == [second]
    assert first in ids("--state", "available")


def test_a_retry_by_a_filter_leaves_out_what_has_completed_unless_it_is_named(folder: Path) -> None:
    raw(folder / "work.db", "update oban_jobs set state = 'completed' where id = 1")
    raw(folder / "work.db", "update oban_jobs set state = 'discarded' where id = 2")
    assert told("retry", "work.yaml", "--worker", "double", "--yes")["changed"] == [2]
    assert told("retry", "work.yaml", "--worker", "double", "--state", "completed", "--yes")["changed"] == [1]


def test_a_list_of_jobs_shows_the_last_error_of_each(folder: Path) -> None:
    traced = "Traceback (most recent call last):\n  File x\n    raise\nValueError: no address\nand more"
    errors = json.dumps([{"attempt": 1, "at": "2026-11-24T12:00:00Z", "error": traced}])
    raw(folder / "work.db", f"update oban_jobs set errors = '{errors}' where id = 2")  # noqa: S608 - our own
    (line,) = [line for line in called("list", "work.yaml").stdout.splitlines() if line.split()[:1] == ["2"]]
    assert line.rstrip().endswith("ValueError: no address")


@pytest.mark.usefixtures("folder")
def test_a_change_by_a_filter_says_how_many_and_needs_a_yes() -> None:
    refused = called("cancel", "work.yaml", "--worker", "double")
    assert refused.exit_code == 2
    assert "3 jobs match" in refused.stderr
    assert "--yes" in refused.stderr
    assert ids("--state", "cancelled") == []
    assert told("cancel", "work.yaml", "--worker", "double", "--yes")["changed"] == [1, 2, 3]


@pytest.mark.usefixtures("folder")
def test_jobs_are_meant_by_their_arguments_as_words_after_the_file() -> None:
    assert ids("args.number=1") == [2]
    assert ids("args.number=1", "args.why=no") == []
    assert ids("--worker", "double", "args.number=2") == [3]
    assert told("cancel", "work.yaml", "args.number=1", "--yes")["changed"] == [2]
    assert told("retry", "--store", "sqlite:///work.db", "args.number=1", "--yes")["changed"] == [2]
    assert told("cancel", "work.yaml", "4", "5", "args.why=yes") == {"exit_code": 1, "changed": [], "unchanged": [4, 5]}
    assert told("delete", "work.yaml", "args.why=no", "--yes")["changed"] == [4, 5]


@pytest.mark.parametrize("name", ["list", "retry", "cancel", "delete", "run-now"])
def test_the_help_of_what_takes_a_filter_names_the_words_for_arguments(name: str) -> None:
    assert "args.region=eu" in called(name, "--help").stdout


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list"], "name the config file or the store"),
        (["list", "work.yaml", "more"], "unexpected argument 'more'"),
        (["list", "work.yaml", "--state", "done"], "no state of a job"),
        (["list", "work.yaml", "--args", "number"], "write name=value"),
        (["list", "work.yaml", "--args", "number=[1]"], "must be text"),
        (["list", "work.yaml", "args.number"], "'args.number' is no argument: write args.region=eu"),
        (["list", "work.yaml", "args.=1"], "'args.=1' is no argument: write args.region=eu"),
        (["list", "work.yaml", "args.number=1", "more"], "unexpected argument 'more'"),
        (["delete", "work.yaml", "args.number=1", "args.number=2"], "number is there twice"),
        (["delete", "work.yaml", "--args", "number=1", "args.number=1.5"], "number is there twice"),
        (["show", "work.yaml"], "name the jobs"),
        (["show", "work.yaml", "one"], "no number of a job"),
        (["cancel", "work.yaml"], "say which jobs to cancel"),
        (["enqueue", "work.yaml"], "name the worker"),
        (["enqueue", "work.yaml", "doubel", "number=1"], "there is no worker 'doubel'"),
        (["enqueue", "work.yaml", "double", "number=1", "--in", "soon"], "--in"),
    ],
)
def test_words_that_make_no_sense_are_usage_errors(words: list[str], said: str) -> None:
    result = called(*words)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


@pytest.mark.usefixtures("folder")
def test_arguments_that_do_not_fit_the_worker_are_refused() -> None:
    result = called("enqueue", "work.yaml", "double", "number=x")
    assert (result.exit_code, "number" in result.stderr) == (1, True)


def test_no_file_is_made_of_a_slip(tmp_path: Path) -> None:
    result = called("list", "--store", f"sqlite:///{tmp_path}/no.db")
    assert (result.exit_code, "no file" in result.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_config_that_is_wrong_or_has_no_jobs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\njobs: {stoer: memory:}\n")
    assert called("list", str(tmp_path / "a.yaml")).exit_code == 78
    (tmp_path / "b.yaml").write_text("stages: {a: {type: generate}, b: {type: discard, subscribe_to: a}}\n")
    result = called("list", str(tmp_path / "b.yaml"))
    assert (result.exit_code, "no block `jobs:`" in result.stderr) == (2, True)


def test_a_variable_of_a_stage_need_not_be_set_to_list_jobs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSET_HERE", raising=False)
    text = (folder / "work.yaml").read_text().replace("listen: off", "listen: ${UNSET_HERE}")
    (folder / "work.yaml").write_text(f"{text}\nstages: {{a: {{type: generate, count: '${{UNSET_HERE}}'}}}}\n")
    assert len(ids()) == 5


def test_a_store_that_a_variable_hides_can_be_named_instead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSET_HERE", raising=False)
    text = (folder / "work.yaml").read_text().replace("sqlite:///work.db", "${UNSET_HERE}")
    (folder / "work.yaml").write_text(text)
    result = called("list", "work.yaml")
    assert result.exit_code == 78
    assert "the variable UNSET_HERE is not set" in result.stderr
    assert "leave the file out and give --store URL" in result.stderr


@pytest.mark.parametrize("url", ["memory:", "shop.db", "oracle://x"])
def test_a_store_that_no_command_can_open_is_refused(url: str) -> None:
    assert called("list", "--store", url).exit_code == 2


def test_what_a_variable_holds_is_in_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "tiger-in-the-night")
    file = tmp_path / "a.yaml"
    file.write_text("jobs: {store: 'sqlite:///${SECRET}/no.db'}")
    result = called("list", str(file))
    assert (result.exit_code, "tiger" in result.stderr) == (1, False), result.stderr
    assert "${SECRET}" in result.stderr


def answered(folder: Path, answer: bytes, *words: str) -> tuple[int, str]:
    """Call a command at a terminal, and give it an answer; return its exit code and what it asked."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [*HEADRACE, *words], cwd=folder, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL
        ) as process:
            asked = b""
            while b"[y/N]" not in asked:
                asked += os.read(ours, 1000)
            os.write(ours, answer)
            return process.wait(), asked.decode()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(("answer", "code", "cancelled"), [(b"y\n", 0, [3, 2, 1]), (b"\n", 1, []), (b"no\n", 1, [])])
def test_at_a_terminal_it_is_asked(folder: Path, answer: bytes, code: int, cancelled: list[int]) -> None:
    ended, asked = answered(folder, answer, "jobs", "cancel", "work.yaml", "--worker", "double")
    assert (ended, "3 jobs match" in asked) == (code, True)
    assert ids("--state", "cancelled") == cancelled


@pytest.mark.usefixtures("folder")
def test_a_worker_that_nobody_knows_is_warned_of_and_its_job_kept() -> None:
    store = ("--store", "sqlite:///work.db")
    slip = called("enqueue", *store, "duoble", "number=1")
    assert (slip.exit_code, slip.stdout) == (0, "job 6 is enqueued\n")
    assert slip.stderr.startswith(
        "headrace: no job in the store has the worker 'duoble' yet, so its name and arguments are not checked"
    )
    known = called("enqueue", *store, "double", "number=1")
    assert (known.exit_code, known.stderr) == (0, "")
    told_of = called("enqueue", *store, "treble", "number=1", "--json")
    values = json.loads(told_of.stdout)
    assert (values["id"], "'treble'" in values["warning"], "'treble'" in told_of.stderr) == (8, True, True)
    checked = called("enqueue", "work.yaml", "sleep", "seconds=0")
    assert (checked.exit_code, checked.stderr) == (0, "")


@pytest.mark.usefixtures("folder")
def test_a_queue_that_cannot_be_called_so_is_refused() -> None:
    for name in ("", "q" * 128):
        result = called("enqueue", "work.yaml", "double", "number=1", "--queue", name)
        assert (result.exit_code, "is no name of a queue: write text of 1 to 127" in result.stderr) == (2, True)
    assert ids() == [5, 4, 3, 2, 1]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("verb", "said"), [("cancel", "1 job cancelled\n"), ("delete", "1 job deleted\n")])
def test_one_job_is_said_in_the_singular(verb: str, said: str) -> None:
    if verb == "delete":
        called("cancel", "work.yaml", "4")
    assert called(verb, "work.yaml", "4").stdout == said


def test_a_database_of_somebody_else_is_told_and_gets_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table orders (id integer)")
        result = called("list", "--store", f"sqlite:///{path}")
        tables = connection.execute("select name from sqlite_master").fetchall()
    assert (result.exit_code, tables) == (1, [("orders",)])
    assert f"{path} holds no jobs: check the path" in result.stderr


@pytest.mark.usefixtures("folder")
def test_a_store_without_a_role_that_a_command_needs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqliteStore, "roles", frozenset({"inserts", "finds"}))
    result = called("cancel", "work.yaml", "1")
    assert result.exit_code == 1
    assert "a SqliteStore has no role 'changes', which this command needs: name another store" in result.stderr
    assert told("list", "work.yaml")["total"] == 5
