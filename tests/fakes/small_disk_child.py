"""Sends events by HTTP into a buffer on a disk of its own that is full for a while; says what came of them.

Its argument is a folder, which becomes a small disk in memory that is gone when this OS process is: it is to run in
namespaces of its own (`unshare`).
"""

import asyncio
import json
import logging
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final

import httpx2

from headrace.config.pipeline import Pipeline
from headrace.stages.edges import sqlite_log as full_disk
from tests.fakes.free_port import free_port
from tests.fakes.stepping import until

DISK_BYTES: Final = 16_000_000
BALLAST_BYTES: Final = 15_200_000
CONFIG: Final = """\
name: hits
listen: off
stages:
  hits:
    type: receive_http
    listen: "127.0.0.1:{port}"
    buffer: {{kind: sqlite, path: "{disk}/hits.db", max_events: 2000}}
  lines: {{type: write_lines, subscribe_to: hits, path: "{out}"}}
"""
PER_REQUEST: Final = 50
TEXT: Final = "x" * 1000


class Sender:
    """Sends numbered requests, and keeps how each was answered."""

    def __init__(self, port: int, client: httpx2.AsyncClient) -> None:
        self._url = f"http://127.0.0.1:{port}/events"
        self._client = client
        self.answers: dict[int, int] = {}
        self.sent = 0

    async def send(self) -> int:
        number, self.sent = self.sent, self.sent + 1
        events = [{"n": number * PER_REQUEST + place, "text": TEXT} for place in range(PER_REQUEST)]
        answer = await self._client.post(self._url, json=events)
        self.answers[number] = answer.status_code
        return answer.status_code

    def count(self, status: int) -> int:
        return list(self.answers.values()).count(status)


def refusals(pipeline: Pipeline) -> float:
    (reader,) = [stage for stage in pipeline.snapshot().stages if stage.name == "hits.buffer"]
    return next(
        one.samples[()] for one in reader.families if one.spec.name == "headrace_disk_buffer_write_failures_total"
    )


def lines(out: Path) -> list[str]:
    """Return what has come out."""
    return out.read_text().splitlines() if out.exists() else []


def left_in(path: Path) -> int:
    """Return how many events the file of a buffer holds."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("select count(*) from headrace_buffer").fetchone()[0])


async def run(disk: Path, out: Path) -> dict[str, object]:
    port = free_port()
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    async with (
        Pipeline.from_text(CONFIG.format(port=port, disk=disk, out=out)) as pipeline,
        httpx2.AsyncClient(timeout=60, limits=httpx2.Limits(max_connections=200)) as client,
        asyncio.TaskGroup() as sending,
    ):
        sender = Sender(port, client)
        pipeline.stage("hits.buffer").pause()
        while not sender.count(429):
            sending.create_task(sender.send())
            await asyncio.sleep(0)
        accepted = sender.count(202)
        refused = refusals(pipeline)
        pipeline.stage("hits.buffer").resume()
        await until(lambda: len(lines(out)) >= accepted * PER_REQUEST)
        await until(lambda: refusals(pipeline) > refused + 1)
        ballast.unlink()
        await until(lambda: len(sender.answers) == sender.sent)
        again = await sender.send()
        await until(lambda: len(lines(out)) >= sender.count(202) * PER_REQUEST)  # a drain would leave it there
    return {
        "is_fine": pipeline.outcome().is_fine,
        "answers": Counter(sender.answers.values()),
        "accepted_while_full": accepted,
        "accepted": [number for number, status in sender.answers.items() if status == 202],
        "again": again,
        "lines": [json.loads(line)["n"] for line in lines(out)],
        "left": left_in(disk / "hits.db"),
        "restarts": sum(stage.restarts for stage in pipeline.snapshot().stages),
    }


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    folder = Path(sys.argv[1])
    small = folder / "disk"
    small.mkdir()
    full_disk.LONGEST_PAUSE_SECONDS = 0.1  # type: ignore[misc] # nobody here makes room by hand
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(small)], check=True)
    sys.stdout.write(json.dumps(asyncio.run(run(small, folder / "out"))))
