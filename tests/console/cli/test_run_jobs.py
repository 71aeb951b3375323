"""`headrace run` and `validate` of a config with jobs."""

import json
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.console.cli.command import document, run, started
from tests.console.cli.job_files import CONFIG, STAGES, write_files


def rows(folder: Path) -> list[tuple[str, int]]:
    connection = sqlite3.connect(folder / "work.db")
    try:
        found: list[tuple[str, int]] = connection.execute("SELECT state, attempt FROM oban_jobs ORDER BY id").fetchall()
    finally:
        connection.close()
    return found


def test_a_run_enqueues_works_off_and_says_how_many(tmp_path: Path) -> None:
    write_files(tmp_path)
    done = run(tmp_path, "run", "work.yaml", "--json")
    assert (done.returncode, done.stderr.count("ERROR")) == (0, 0), done.stderr
    told = document(done.stdout)
    assert told["jobs"] == {"completed": 20, "failed": 0, "discarded": 0, "cancelled": 0}
    assert "20 jobs completed" in str(told["status"])
    assert rows(tmp_path) == [("completed", 1)] * 20


def test_a_job_that_failed_for_good_makes_the_run_fail(tmp_path: Path) -> None:
    write_files(
        tmp_path, STAGES.replace("worker: double, args: {number: event}", "worker: give_up, args: {why: \"'x'\"}")
    )
    done = run(tmp_path, "run", "work.yaml", "--json")
    assert done.returncode == 1
    assert document(done.stdout)["errors"] == ["20 jobs failed for good"]


def test_a_signal_puts_back_what_runs_at_no_cost(tmp_path: Path) -> None:
    stages = STAGES.replace("count: 20", "count: 1").replace(
        "worker: double, args: {number: event}", "worker: sleep, args: {seconds: 60}"
    )
    write_files(tmp_path, stages)
    with started(tmp_path, "run", "work.yaml", "--json") as command:
        assert command.process.stdout is not None
        assert command.process.stdout.readline() == "asleep\n"
        command.process.send_signal(signal.SIGTERM)
        code, out, _ = command.end()
    assert (code, document(out)["status"]) == (0, "drained: all that was taken in went through; 0 jobs completed")
    assert rows(tmp_path) == [("available", 0)]


def test_jobs_without_stages_run_for_ever_if_told_so(tmp_path: Path) -> None:
    write_files(tmp_path, "")
    with started(tmp_path, "run", "work.yaml", "--forever", "--json", "--log-level", "debug") as command:
        command.until("pipeline")
        command.process.send_signal(signal.SIGTERM)
        assert command.end()[0] == 0


def test_a_store_that_cannot_be_opened_is_said_in_a_sentence(tmp_path: Path) -> None:
    write_files(tmp_path)
    (tmp_path / "work.db").mkdir()
    done = run(tmp_path, "run", "work.yaml")
    assert done.returncode == 1
    assert "work.db" in done.stderr
    assert "Traceback" not in done.stderr


def test_validate_says_which_jobs_there_are(tmp_path: Path) -> None:
    write_files(tmp_path, "")
    done = run(tmp_path, "validate", "work.yaml")
    assert done.returncode == 0, done.stderr
    for words in ("jobs are kept in sqlite", "queue default: 5 at a time", "worker double", "cron yearly: 0 3 1 1 *"):
        assert words in done.stdout
    (file,) = json.loads(run(tmp_path, "validate", "work.yaml", "--json").stdout)["files"]
    assert file["jobs"]["queues"] == {"default": 5}
    assert [each["worker"] for each in file["jobs"]["workers"]] == ["double", "give_up", "sleep"]


LIMITS = """
  queues:
    default: 5
    slow: {limit: 2, global_limit: 4, rate_limit: {rate: 100/m, partition: args.number, burst: 10}}
    fair: {limit: 3, global_limit: {count: 1, partition: args.number}}
    calls: {limit: 7, rate_limit: 5/s}
"""


def test_validate_names_the_limits_of_queues_over_all_processes(tmp_path: Path) -> None:
    write_files(tmp_path, "")
    (tmp_path / "work.yaml").write_text(CONFIG.replace("\n  queues: {default: 5}\n", LIMITS))
    done = run(tmp_path, "validate", "work.yaml")
    assert done.returncode == 0, done.stderr
    assert [line.strip() for line in done.stdout.splitlines() if line.startswith("  queue ")] == [
        "queue default: 5 at a time",
        "queue slow: 2 at a time; over all processes 4 at a time, 100/m for each args.number (burst 10)",
        "queue fair: 3 at a time; over all processes 1 at a time for each args.number",
        "queue calls: 7 at a time; over all processes 5/s",
    ]
    (file,) = json.loads(run(tmp_path, "validate", "work.yaml", "--json").stdout)["files"]
    assert file["jobs"]["queues"] == {"default": 5, "slow": 2, "fair": 3, "calls": 7}
    assert file["jobs"]["rate_limits"] == {
        "slow": {"count": 100, "period_seconds": 60, "burst": 10, "partition": "args.number"},
        "calls": {"count": 5, "period_seconds": 1, "burst": None, "partition": None},
    }
    assert file["jobs"]["global_limits"] == {
        "slow": {"count": 4, "partition": None},
        "fair": {"count": 1, "partition": "args.number"},
    }


def test_validate_without_imports_imports_no_worker(tmp_path: Path) -> None:
    write_files(tmp_path, "")
    (tmp_path / "workers.py").write_text("raise SystemExit('imported')")
    assert run(tmp_path, "validate", "work.yaml", "--no-import").returncode == 0
    done = run(tmp_path, "validate", "work.yaml")
    assert (done.returncode, "bad-import" in done.stderr) == (78, True), done.stderr


def test_a_running_job_is_cancelled_from_another_process(tmp_path: Path) -> None:
    write_files(tmp_path, "")
    (tmp_path / "work.db").touch()
    assert run(tmp_path, "jobs", "enqueue", "work.yaml", "sleep", "seconds=60").returncode == 0
    with started(tmp_path, "run", "work.yaml", "--json") as command:
        assert command.process.stdout is not None
        assert command.process.stdout.readline() == "asleep\n"
        assert run(tmp_path, "jobs", "cancel", "work.yaml", "1").returncode == 0
        code, out, _ = command.end()
    assert (code, document(out)["jobs"]) == (0, {"completed": 0, "failed": 0, "discarded": 0, "cancelled": 1})
    assert rows(tmp_path) == [("cancelled", 1)]


BLOCKING = """
import asyncio, time
from headrace.console.cli.commands import run as exit_bound
from headrace.jobs.running import queue
from headrace.jobs.worker import worker

exit_bound.EXIT_SECONDS = queue.LEFT_SECONDS = 0.05

@worker(name="block")
def block() -> None:
    print("blocked", flush=True)
    time.sleep(600)

@worker(name="block_elsewhere")
async def block_elsewhere() -> None:
    await asyncio.to_thread(block.function)

@worker(name="double")
def double(number: int) -> None: ...
"""


@pytest.mark.parametrize(
    ("name", "line", "row"),
    [
        (
            "block",
            "the process ends while jobs run in threads; they run again, at the cost of no attempt: 1 (block)",
            ("executing", 1),
        ),
        (
            "block_elsewhere",
            "the run has ended, but threads keep its process up, which is ended now:",
            ("available", 0),
        ),
    ],
)
def test_a_function_in_a_thread_that_never_returns_keeps_no_process_up(
    tmp_path: Path, name: str, line: str, row: tuple[str, int]
) -> None:
    write_files(tmp_path, "")
    (tmp_path / "workers.py").write_text(BLOCKING)
    (tmp_path / "work.db").touch()
    assert run(tmp_path, "jobs", "enqueue", "work.yaml", name).returncode == 0
    for _ in range(2):  # the other process runs it again at once
        with started(tmp_path, "run", "work.yaml") as command:
            assert command.process.stdout is not None
            assert command.process.stdout.readline() == "blocked\n"
            command.process.send_signal(signal.SIGTERM)
            code, _, err = command.end()
        assert (code, line in err) == (0, True), err
        assert rows(tmp_path) == [row]
