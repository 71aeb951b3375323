"""Events come to be lines of a file, and what goes wrong is said."""

import fcntl
import json
import os
import select
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from headrace.errors import RestartsExhausted, StartFailed
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from headrace.stages.errors import CannotWrite, ReaderClosed
from headrace.stages.sinks.write_lines import WriteLines, WriteLinesOptions
from headrace.stages.sources.generate import Generate, GenerateOptions
from headrace.stages.sources.read_lines import ReadLines, ReadLinesOptions
from tests.fakes.stepping import until
from tests.stages.runs import chain, run, run_events

PAGE_BYTES = 4096

pytestmark = pytest.mark.asyncio


def write_lines(path: Path | str, **options: object) -> WriteLines:
    return WriteLines(WriteLinesOptions.model_validate({"path": str(path), **options}))


@pytest.mark.parametrize("max_demand", [1, 7, 1000])
async def test_what_is_written_can_be_read_again(tmp_path: Path, max_demand: int) -> None:
    events: list[object] = [{"n": n, "text": "a\nb"} for n in range(100)]
    await run_events(events, write_lines(tmp_path / "out"), max_demand=max_demand)
    ran = await run(ReadLines(ReadLinesOptions(path=str(tmp_path / "out"), decode="json")))
    assert ran.events == events


async def test_an_event_that_cannot_be_a_line_fails_alone(tmp_path: Path) -> None:
    ran = await run_events([1, object(), 2, {(1, 2): 3}], write_lines(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "1\n2\n"
    assert ran.stages[1].errors == {"TypeError": 2}
    assert ran.outcome.events_failed == 2


async def test_a_batch_of_which_nothing_is_left_is_handled(tmp_path: Path) -> None:
    ran = await run_events([object()], write_lines(tmp_path / "out", encode="text"))
    assert ran.stages[1].events_received == 1
    ran = await run_events(["a\nb"], write_lines(tmp_path / "none", encode="text"))
    assert (tmp_path / "none").read_text() == ""
    assert ran.outcome.events_failed == 1


async def test_a_folder_that_is_missing_is_said_before_anything_flows(tmp_path: Path) -> None:
    topology, _ = chain(Generate(GenerateOptions(count=1)), write_lines(tmp_path / "missing" / "out"))
    with pytest.raises(StartFailed, match="is in a folder that does not exist: make the folder first"):
        await topology.start()


async def test_a_full_disk_is_tried_again_and_then_ends_the_run() -> None:
    made: list[WriteLines] = []

    def make() -> WriteLines:
        made.append(write_lines("/dev/full"))
        return made[-1]

    topology = Topology()
    topology.add("0", Producer.from_stream(range(100)))
    topology.add("1", make, subscribe_to=SubscribeTo("0", max_demand=10))
    await topology.start()
    outcome = await topology.join()
    assert isinstance(outcome.reason, RestartsExhausted)
    assert isinstance(outcome.reason.reason, CannotWrite)
    assert len(made) == 4
    assert topology.snapshot().stages[1].discarded["crash"] == 4 * 5


async def test_a_reader_that_does_not_read_holds_up_its_source_and_not_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PAGE_BYTES)
    source = Generate(GenerateOptions())
    topology, _ = chain(source, write_lines(path))
    await topology.start()
    another = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    await until(lambda: not select.select([], [another], [], 0)[1])
    assert source._next <= 1000 + PAGE_BYTES
    assert (await topology.stop()).events_lost
    os.close(another)
    os.close(reader)
    await until(lambda: not [thread for thread in threading.enumerate() if thread.name == "1"])


async def test_standard_output_is_a_file_too(capfd: pytest.CaptureFixture[str]) -> None:
    await run_events([{"a": 1}, [2]], write_lines("-"))
    assert [json.loads(line) for line in capfd.readouterr().out.splitlines()] == [{"a": 1}, [2]]


async def test_a_reader_of_standard_output_that_has_gone_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    monkeypatch.setattr(os, "dup", lambda _: writable)  # as if this were standard output
    ran = await run_events(range(10), write_lines("-"))
    assert isinstance(ran.outcome.reason, ReaderClosed)
    assert ran.stages[1].restarts == 0


async def test_options_that_make_no_sense_are_refused() -> None:
    for options in ({}, {"path": ""}, {"path": "a", "encode": "xml"}, {"path": "a", "mode": "w"}):
        with pytest.raises(ValidationError):
            WriteLinesOptions.model_validate(options)
