"""No OS process outlives the one that started it, however that ends and whatever it does."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.executors import worker_main as child
from tests.fakes.os_processes import is_gone
from tests.house.tree import ROOT

PARENT = """
import asyncio, os, sys
sys.path.append(sys.argv[1])
from headrace.executors.process_executor import ProcessExecutor

async def main():
    executor = ProcessExecutor(2)
    idle = await executor.run("tests.fakes.outside:pid")
    call = await executor.start("tests.fakes.outside:" + sys.argv[2], sys.argv[3])
    other = await executor.run("tests.fakes.outside:pid")
    print(other, flush=True)
    {end}

asyncio.run(main())
"""
FOR_EVER = "await asyncio.Event().wait()"


def started(function: str, fifo: Path, end: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PARENT.replace("{end}", end), str(ROOT), function, str(fifo)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.asyncio
@pytest.mark.parametrize("function", ["hang_at", "spin_at", "hold_the_lock_at", "hang_stubbornly_at"])
async def test_nothing_is_left_when_the_parent_is_killed(function: str, fifo: Path) -> None:
    parent = started(function, fifo, FOR_EVER)
    with parent:
        try:
            busy = int(await asyncio.to_thread(fifo.read_text))
            assert parent.stdout is not None
            idle = int(await asyncio.to_thread(parent.stdout.readline))
        finally:
            parent.kill()
        await is_gone(busy)
        await is_gone(idle)


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["return", "sys.exit(3)", "os._exit(3)", "raise ValueError"])
async def test_nothing_is_left_when_the_parent_ends_without_closing(end: str, fifo: Path) -> None:
    parent = started("spin_at", fifo, end)
    with parent:
        busy = int(await asyncio.to_thread(fifo.read_text))
        await asyncio.to_thread(parent.communicate)
        await is_gone(busy)


def test_an_end_by_the_pipe_serves_where_the_system_offers_nothing_better() -> None:
    ours, theirs = socket.socketpair()
    program = f"import runpy\nrunpy.run_path({child.__file__!r})['die_with_pipe']({theirs.fileno()})\nwhile True: pass"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE) as process:
        theirs.close()
        ours.close()
        assert process.communicate(timeout=50)[1] == b""
        assert process.returncode == 1


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    ours, theirs = socket.socketpair()
    somebody_else = os.getpid() + 1
    with ours, theirs:
        command = [sys.executable, child.__file__, str(theirs.fileno()), str(somebody_else)]
        done = subprocess.run(command, pass_fds=(theirs.fileno(),), capture_output=True, check=False, timeout=50)
    assert (done.returncode, done.stderr) == (1, b"")
