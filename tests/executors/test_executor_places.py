"""Where executors run: on one event loop, and on systems that offer less than Linux does."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.errors import ForeignLoop
from headrace.executors import Executor, ProcessExecutor, ThreadExecutor, WorkerSettings
from headrace.executors.errors import WorkerDied
from tests.fakes import outside
from tests.fakes.os_processes import children


@pytest.mark.parametrize("executor", [ThreadExecutor(1), ProcessExecutor(1)], ids=["thread", "process"])
def test_an_executor_says_that_it_belongs_to_another_loop(executor: Executor) -> None:
    async def used() -> None:
        assert await executor.run(divmod, 7, 2) == (3, 1)
        await executor.aclose()

    asyncio.run(used())
    with pytest.raises(ForeignLoop, match="'builtins:divmod'"):
        asyncio.run(used())


@pytest.mark.usefixtures("reachable")
def test_os_processes_end_as_they_should_where_their_end_can_only_be_waited_for(
    monkeypatch: pytest.MonkeyPatch, fifo: Path
) -> None:
    monkeypatch.delattr(os, "waitid")

    async def story() -> None:
        async with ProcessExecutor(1, WorkerSettings(grace_seconds=60.0)) as executor:
            with pytest.raises(WorkerDied):
                await executor.run(outside.exit_at_once, 7)
            waiter = asyncio.ensure_future(executor.run(outside.hang_and_clean, fifo))
            await asyncio.to_thread(fifo.read_text)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
            assert await executor.run(outside.add, 1, 2) == 3

    asyncio.run(story())
    assert children() == set()


def test_os_processes_run_with_the_options_of_the_one_that_starts_them() -> None:
    program = (
        "import asyncio, sys\n"
        "from headrace.executors import ProcessExecutor\n"
        "async def main():\n"
        "    async with ProcessExecutor(1) as executor:\n"
        "        print(await executor.run(eval, \"tuple(__import__('sys').flags)\") == tuple(sys.flags))\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-P", "-I", "-O", "-X", "dev", "-W", "error::FutureWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert (done.stdout, done.stderr) == ("True\n", "")
