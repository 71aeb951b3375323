"""What stages do when things go wrong around them: full disks, sinks that are down or hang, clocks that jump."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from errno import ECONNREFUSED
from pathlib import Path
from typing import Any, Final

import pytest

from headrace.dead_letters.service import DeadLetterService
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.functions import data_of
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Kept
from tests.fakes.flow_stages import Numbers
from tests.fakes.jumping import jumped
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, until
from tests.house.tree import ROOT

FULL_DISK: Final = ROOT / "tests" / "fakes" / "full_disk_child.py"
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
    assert lines == [str(number) for number in range(1000)]  # the half of 100 that had been written was taken back


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


BUFFERED: Final = """\
  numbers: {{type: generate, count: 20000, buffer: {{kind: sqlite, path: "{folder}/buffer.db"}}}}
  lines: {{type: write_lines, subscribe_to: {{stage: numbers, max_demand: 100}}, path: "{folder}/out"}}
"""


def left_in_buffer(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "buffer.db") as connection:
        left = [event for (event,) in connection.execute("select event from headrace_buffer order by id")]
    connection.close()
    return left


def test_a_buffer_on_disk_waits_for_a_full_disk_and_takes_each_event_once(tmp_path: Path) -> None:
    told, logged = on_a_full_disk(tmp_path, BUFFERED.format(folder=tmp_path), "again", 100_000)
    assert told["is_fine"], logged
    assert told["refusals"] > 0
    assert told["restarts"] == 0
    assert [int(line) for line in (tmp_path / "out").read_text().splitlines()] == list(range(20000))
    assert left_in_buffer(tmp_path) == []
    assert len([line for line in logged if "is full (" in line]) == 1, logged
    assert len([line for line in logged if "has room again after" in line]) == 1, logged


def test_a_run_that_is_drained_on_a_full_disk_ends_in_time_and_says_what_was_not_kept(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("\n".join(["1"] * 100 + ["2" * 200_000] + ["3"] * 100))  # no room, whatever leaves
    stages = BUFFERED.format(folder=tmp_path).replace("generate, count: 20000", f'read_lines, path: "{tmp_path}/in"')
    told, logged = on_a_full_disk(tmp_path, stages, "drain", 100_000)
    assert not told["is_fine"]
    assert told["restarts"] == 0
    lost = sum(told["discarded"][name]["cancelled"] for name in ("numbers", "numbers.kept"))
    assert told["lost"] == lost > 100
    assert len(left_in_buffer(tmp_path)) + len((tmp_path / "out").read_text().splitlines()) >= 201 - lost
    assert any("was not drained after 0.01 s: numbers.kept" in line for line in logged), logged


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
    assert said[0].startswith(
        "stage 'sink' tries an event again (later ones that fail alike are counted, not logged): Conn"
    )


THIRD: Final = [number for number in range(1, 21) if number % 3 == 0]
CARES: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "retried": {"retry": Retry(3, 0.0)},
    "concurrent": {"concurrency": Concurrency(4)},
    "both": {"concurrency": Concurrency(4), "retry": Retry(3, 0.0)},
}


class EveryThird(ProducerConsumer[Any, Any]):
    """Raises on every third event, as a class of a user does: where nothing else is said, that is a crash."""

    per_event = True

    async def handle_events(self, events: list[Any]) -> list[object]:
        (event,) = events
        if event % 3 == 0:
            raise ValueError(event)
        return [event]


@pytest.mark.asyncio
@pytest.mark.parametrize("is_kept", [False, True])
@pytest.mark.parametrize("care", CARES)
@pytest.mark.parametrize("source", [Numbers, Told])
async def test_a_handler_that_raises_on_every_third_event_loses_no_other(
    source: Callable[[int], Producer[Any]], care: str, *, is_kept: bool, tmp_path: Path
) -> None:
    topology, origin, sink = Topology("shop", max_restarts=100), source(20), Kept()
    if is_kept:
        topology.add_service(DeadLetterService(SqliteDeadLetterStore(tmp_path / "dead.db"), "shop"))
    topology.add("numbers", lambda: origin)
    settings = StageSettings(**CARES[care])
    topology.add("third", EveryThird, subscribe_to=SubscribeTo("numbers", 2, 1), settings=settings)
    topology.add("sink", lambda: sink, subscribe_to="third")
    await topology.start()
    outcome = await topology.join()
    check_end(run_of(topology))
    stage = topology.snapshot().stages[1]
    is_crash = "retry" not in CARES[care] and not is_kept
    others = [number for number in range(1, 21) if number % 3]
    if is_crash and source is Numbers:  # the batch in hand goes with the crash, and that is counted
        assert set(sink.data) <= set(others)
        assert outcome.events_lost == stage.discarded["crash"] == 20 - len(sink.data)
        assert stage.restarts == stage.errors["ValueError"] > 0
        return
    assert Counter(sink.data) == Counter(others)
    assert outcome.is_fine == is_kept
    assert outcome.events_lost == 0
    assert stage.dead_lettered == (len(THIRD) if is_kept else 0)
    assert outcome.events_failed == (0 if is_kept else len(THIRD))
    if isinstance(origin, Told):
        worst = Outcome.DEAD_LETTERED if is_kept else Outcome.FAILED
        assert origin.outcomes() == [worst if number in THIRD else Outcome.DONE for number in range(1, 21)]


class Hangs(Consumer[Any]):
    """A sink that never answers from its third batch on."""

    def __init__(self) -> None:
        self.batches = 0
        self.data: list[Any] = []

    async def handle_events(self, events: list[Any]) -> None:
        self.batches += 1
        if self.batches > 2:
            await asyncio.get_running_loop().create_future()
        self.data += map(data_of, events)


@pytest.mark.parametrize("source", [Numbers, Told])
def test_a_sink_that_hangs_is_given_up_in_its_time(source: Callable[[int], Producer[Any]]) -> None:
    async def main() -> None:
        topology, origin, sink = Topology(), source(20), Hangs()
        settings = StageSettings(timeout_seconds=5.0, retry=Retry(2, 1.0))
        topology.add("numbers", lambda: origin)
        topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("numbers", 4, 2), settings=settings)
        await topology.start()
        outcome = await topology.join()
        assert sink.data == [1, 2, 3, 4]
        stage = topology.snapshot().stages[1]
        assert stage.errors == {"HandlerTimeout": 16}
        assert outcome.events_failed == stage.discarded["error"] == stage.redelivered == 16
        if isinstance(origin, Told):
            assert origin.outcomes() == [Outcome.DONE] * 4 + [Outcome.FAILED] * 16

    jumped(main())


@pytest.mark.asyncio
@pytest.mark.parametrize("source", [Numbers, Told])
async def test_a_sink_that_hangs_is_named_and_a_drain_ends_all_the_same(
    source: Callable[[None], Producer[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    topology, origin, sink = Topology(), source(None), Hangs()
    topology.stall_seconds = 0.3
    topology.add("numbers", lambda: origin)
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("numbers", 4, 2))
    await topology.start()
    await until(lambda: topology.snapshot().stages[1].stall is not None)
    outcome = await topology.drain(deadline_seconds=0.01)
    assert "stage 'sink' has done nothing for" in caplog.text
    assert "was not drained after 0.01 s" in caplog.text
    assert not outcome.is_fine
    sent = topology.snapshot().stages[0].events_sent
    assert sent <= 4 + 4  # what the sink has done, and what it may have asked for
    if isinstance(origin, Told):
        told = origin.outcomes()
        assert told == [Outcome.DONE] * 4 + [Outcome.FAILED] * (len(told) - 4)
    check_end(run_of(topology))
