"""What stages do when things go wrong around them: full disks, sinks that are down or hang, clocks that jump."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from errno import ECONNREFUSED
from pathlib import Path
from typing import Any, Final

import pytest

from headrace.pipeline.acknowledgement.acknowledgement import Outcome
from headrace.pipeline.acknowledgement.retry import Retry
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.elsewhere import Concurrency
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.subscription import SubscribeTo
from headrace.pipeline.topology.topology import Topology
from headrace.stages.batches import data_of
from tests.fakes.acknowledged_stages import Told
from tests.fakes.flow_stages import Numbers
from tests.fakes.jumping import jumped
from tests.house.tree import ROOT

FULL_DISK: Final = ROOT / "tests" / "fakes" / "full_disk_child.py"
CUT_OFF_LINE: Final = 100
CUT_OFF_BYTES: Final = 10 * 2 + 90 * 3 + 2
"""Room for the numbers from 0 to 99, and half of what is the first line of a batch: 100."""

AGAIN: Final = "retry: {attempts: 1000, backoff: 1ms, max_backoff: 1ms}"


def on_a_full_disk(folder: Path, stages: str, when: str, size: int, top: str = "") -> tuple[Any, list[str]]:
    """Run a config while no file grows beyond `size`; return how it ended, and what was logged."""
    config = folder / "full.yaml"
    config.write_text(f"name: full\nlisten: off\n{top}stages:\n{stages}")
    command = [sys.executable, "-P", str(FULL_DISK), str(config), when, str(size)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), ended.stderr.splitlines()


def test_lines_that_a_full_disk_cut_off_spoil_no_other(tmp_path: Path) -> None:
    stages = f"""\
  numbers: {{type: generate, count: 1000}}
  lines: {{type: write_lines, subscribe_to: {{stage: numbers, max_demand: 100}}, path: "{tmp_path}/out", {AGAIN}}}
"""
    told, _ = on_a_full_disk(tmp_path, stages, "again", CUT_OFF_BYTES)
    assert told["is_fine"]
    assert told["redelivered"]["lines"] > 0
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines.count("10") == 2  # the second one is what there was room for of 100
    del lines[CUT_OFF_LINE]
    assert lines == [str(number) for number in range(1000)]


def test_dead_letters_that_a_full_disk_refuses_have_failed_and_are_said_once(tmp_path: Path) -> None:
    stages = """\
  numbers: {type: generate, count: 3000}
  bad: {type: map, subscribe_to: {stage: numbers, max_demand: 100}, set: {a: event.n}}
  end: {type: discard, subscribe_to: bad}
"""
    top = f"dead_letters: sqlite:///{tmp_path}/dead.db\n"
    told, logged = on_a_full_disk(tmp_path, stages, "never", 90_000, top)
    assert told["failed"] == told["discarded"]["bad"]["error"] == 3000
    said = [line for line in logged if "cannot set 50 events aside" in line]
    assert len(said) == 1, logged
    assert "nothing is half written" in said[0]
    assert len(logged) < 10


def test_rows_that_a_full_disk_refuses_are_written_once_there_is_room(tmp_path: Path) -> None:
    stages = f"""\
  numbers: {{type: generate, count: 20000}}
  rows:
    type: write_sql
    subscribe_to: {{stage: numbers, max_demand: 100}}
    database: "sqlite:///{tmp_path}/rows.db"
    table: seen
    columns: {{n: event}}
    setup: create table if not exists seen (n integer)
    {AGAIN}
"""
    told, _ = on_a_full_disk(tmp_path, stages, "again", 100_000)
    assert told["is_fine"]
    assert told["redelivered"]["rows"] >= 50
    with sqlite3.connect(tmp_path / "rows.db") as connection:
        rows = [number for (number,) in connection.execute("select n from seen")]
    connection.close()
    assert sorted(rows) == list(range(20000))  # each once: what was refused was not half written


def test_a_buffer_on_disk_that_a_full_disk_stops_keeps_what_it_had_taken_in(tmp_path: Path) -> None:
    stages = f"""\
  numbers: {{type: generate, count: 20000, buffer: {{kind: sqlite, path: "{tmp_path}/buffer.db"}}}}
  lines: {{type: write_lines, subscribe_to: {{stage: numbers, max_demand: 100}}, path: "{tmp_path}/out"}}
"""
    told, logged = on_a_full_disk(tmp_path, stages, "never", 100_000)
    assert not told["is_fine"]
    assert "nothing is half written" in told["reason"], logged
    assert told["lost"] == sum(count for stage in told["discarded"].values() for count in stage.values())
    accepted = told["received"]["numbers.kept"] - sum(told["discarded"]["numbers.kept"].values())
    written = {int(line) for line in (tmp_path / "out").read_text().splitlines()}
    with sqlite3.connect(tmp_path / "buffer.db") as connection:
        left = {int(event) for (event,) in connection.execute("select event from headrace_buffer")}
    connection.close()
    assert len(written | left) >= accepted


class Down(Consumer[Any]):
    """A sink that cannot be reached until a time, and keeps the data of what it gets from then on."""

    def __init__(self, until_seconds: float) -> None:
        self.until_seconds = until_seconds
        self.tries = 0
        self.data: list[Any] = []

    async def handle_events(self, events: list[Any]) -> None:
        self.tries += 1
        if asyncio.get_running_loop().time() < self.until_seconds:
            raise ConnectionRefusedError(ECONNREFUSED, "the sink is down")
        self.data += map(data_of, events)


class DownEach(Down):
    """The same, with one event at a time."""

    per_event = True


@pytest.mark.parametrize(("shape", "concurrency"), [(Down, 1), (DownEach, 1), (DownEach, 4)])
@pytest.mark.parametrize("source", [Numbers, Told])
def test_a_sink_that_is_down_for_a_minute_gets_all_once_it_is_back(
    source: Callable[[int], Producer[Any]], shape: type[Down], concurrency: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        topology, origin, sink = Topology(), source(200), shape(60.0)
        settings = StageSettings(retry=Retry(40, 0.1, 10.0), concurrency=Concurrency(concurrency))
        topology.add("numbers", lambda: origin)
        topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("numbers", 20, 10), settings=settings)
        await topology.start()
        assert (await topology.join()).is_fine
        assert sorted(sink.data) == list(range(1, 201))
        stage = topology.snapshot().stages[1]
        assert stage.redelivered >= 3
        assert sink.tries < 200 + 40 * 40  # the waits grow
        if isinstance(origin, Told):
            assert origin.outcomes() == [Outcome.DONE] * 200

    jumped(main())
    said = [record.getMessage() for record in caplog.records if "the sink is down" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("stage 'sink' tries an event again (further ones that fail alike are only counted): Conn")
