"""Files that an earlier version wrote are opened, and the work in them goes on.

The fixtures were written by version 0.1.0 before its packages moved: a job store with results and waiting jobs, dead
letters, a disk buffer whose OS process was killed with 20 events in it, and the checkpoint of a followed file.
"""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from headrace import Pipeline
from headrace.jobs import Jobs, WorkerCatalogue, worker
from tests.fakes.stepping import until
from tests.house.tree import ROOT

pytestmark = pytest.mark.asyncio

WRITTEN: Final = ROOT / "tests" / "fixtures" / "written_before"
STATES: Final = {"completed": 5, "discarded": 1}
"""States once all has run: a sum that had completed, one that waited, a due one, two steps; and one that had failed."""


def _copy(folder: Path, *names: str) -> None:
    for name in names:
        shutil.copy(WRITTEN / name, folder / name)


def _pipeline(folder: Path, stages: str) -> Pipeline:
    (folder / "shop.yaml").write_text(f"name: shop\nlisten: off\n{stages}")
    return Pipeline.from_file(folder / "shop.yaml")


async def test_jobs_of_an_earlier_version_run(tmp_path: Path) -> None:
    _copy(tmp_path, "jobs.db")

    @worker(name="shop.add", record=True)
    async def add(a: int, b: int) -> int:
        return a + b

    @worker(name="shop.sum", record=True)
    async def total(n: int = 0) -> int:
        return n

    async with Jobs(f"sqlite:///{tmp_path}/jobs.db", WorkerCatalogue([add, total]), {"default": 2}) as jobs:

        async def states() -> dict[str, int]:
            return {str(one.state): one.count for one in await jobs.store.counts()}

        while await states() != STATES:  # noqa: ASYNC110 - the state is in a file
            await asyncio.sleep(0)
        done = await jobs.store.get(1)
        assert done is not None
        assert done.state == "completed"
        ran = await jobs.store.get(3)
        assert ran is not None
        assert ran.args == {"a": 20, "b": 22}
        assert ran.state == "completed"


async def test_dead_letters_of_an_earlier_version_are_replayed(tmp_path: Path) -> None:
    _copy(tmp_path, "dead.db")
    out = tmp_path / "out.jsonl"
    run = _pipeline(
        tmp_path,
        f"dead_letters: sqlite:///{tmp_path}/dead.db\n"
        "stages:\n"
        "  numbers: {type: emit}\n"
        "  checked: {type: map, subscribe_to: numbers, set: {m: event.n.n}}\n"
        f"  out: {{type: write_lines, subscribe_to: checked, path: {out}}}\n",
    )
    command = (sys.executable, "-P", "-m", "headrace", "dead-letters", "replay", str(tmp_path / "shop.yaml"))
    replay = await asyncio.create_subprocess_exec(*command, "--all", "--yes", stdout=asyncio.subprocess.PIPE)
    assert b"6" in (await replay.communicate())[0]
    async with run:
        await until(lambda: out.exists() and len(out.read_text().splitlines()) == 6)
        await run.drain(5)
    assert sorted(json.loads(line)["m"] for line in out.read_text().splitlines()) == list(range(6))


async def test_a_disk_buffer_of_an_earlier_version_is_emptied(tmp_path: Path) -> None:
    _copy(tmp_path, "buffer.db", "buffer.db-wal")
    out = tmp_path / "out.jsonl"
    run = _pipeline(
        tmp_path,
        "stages:\n"
        f"  orders: {{type: emit, buffer: {{kind: sqlite, path: {tmp_path}/buffer.db}}}}\n"
        f"  out: {{type: write_lines, subscribe_to: orders, path: {out}}}\n",
    )
    async with run:
        await until(lambda: out.exists() and len(out.read_text().splitlines()) >= 20)
        await run.drain(5)
    assert [json.loads(line)["order"] for line in out.read_text().splitlines()] == list(range(20))


async def test_a_checkpoint_of_an_earlier_version_is_read_on_from(tmp_path: Path) -> None:
    _copy(tmp_path, "app.log", "app.checkpoint")
    log, checkpoint, out = tmp_path / "app.log", tmp_path / "app.checkpoint", tmp_path / "out.txt"
    position = json.loads(checkpoint.read_text())
    found = log.stat()  # the copy is another file than the one that was followed
    checkpoint.write_text(json.dumps({**position, "device": found.st_dev, "inode": found.st_ino}))
    run = _pipeline(
        tmp_path,
        "stages:\n"
        f"  lines: {{type: read_lines, path: {log}, follow: true, checkpoint: {checkpoint}}}\n"
        f"  out: {{type: write_lines, subscribe_to: lines, path: {out}}}\n",
    )
    async with run:
        await until(lambda: out.exists() and len(out.read_text().splitlines()) >= 2)
        await run.drain(5)
    assert out.read_text().splitlines() == ['"four"', '"five"']
