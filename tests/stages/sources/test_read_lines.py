"""Lines of files flow through a real topology, under demand, to their end or until a drain."""

import asyncio
import gzip
import logging
import lzma
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from headrace.errors import StartFailed
from headrace.pipeline.topology.topology import Topology
from headrace.stages.errors import BadLine, CannotRead
from headrace.stages.files import followed_file
from headrace.stages.files.chunks import CHUNK_BYTES, FilesReader
from headrace.stages.sources.read_lines import ReadLines, ReadLinesOptions
from tests.fakes.flow_stages import Gated
from tests.fakes.stepping import until
from tests.house.tree import ROOT
from tests.stages.runs import chain, run

pytestmark = pytest.mark.asyncio


def read_lines(path: Path | str, **options: object) -> ReadLines:
    return ReadLines(ReadLinesOptions.model_validate({"path": str(path), **options}))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def read_threads() -> list[threading.Thread]:
    """Return the threads of sources: stage `0` of a chain."""
    return [thread for thread in threading.enumerate() if thread.name == "0"]


@pytest.mark.parametrize(
    ("decode", "text", "events"),
    [
        ("text", "a\n\nb", ["a", "", "b"]),
        ("json", '{"a": 1}\n\n[2]\n', [{"a": 1}, [2]]),
        ("csv", 'k,v\n1,"x\ny"\n', [{"k": "1", "v": "x\ny"}]),
        ("text", "", []),
    ],
)
async def test_events_are_what_the_lines_hold(tmp_path: Path, decode: str, text: str, events: list[object]) -> None:
    ran = await run(read_lines(write(tmp_path / "in", text), decode=decode))
    assert ran.events == events
    assert ran.outcome.is_fine


@pytest.mark.parametrize(("max_demand", "min_demand"), [(1, 0), (7, 3), (1000, 500), (100_000, None)])
async def test_every_line_comes_once_and_in_order_whatever_is_asked_for(
    tmp_path: Path, max_demand: int, min_demand: int | None
) -> None:
    count = 200 if max_demand == 1 else 3 * CHUNK_BYTES // 6
    path = write(tmp_path / "in", "".join(f"{number}\n" for number in range(count)))
    ran = await run(read_lines(path, decode="json"), max_demand=max_demand, min_demand=min_demand)
    assert ran.events == list(range(count))


async def test_a_pattern_stands_for_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        write(tmp_path / name, f"{name[0]}\n1")
    ran = await run(read_lines(f"{tmp_path}/*.csv", decode="csv"))
    assert ran.events == [{"a": "1"}, {"b": "1"}]


async def test_no_more_than_the_next_chunk_is_read_ahead(tmp_path: Path) -> None:
    path = write(tmp_path / "in", "x\n" * (5 * CHUNK_BYTES))
    source = read_lines(path)
    topology = Topology()
    stage = topology.add("0", lambda: source)
    async with topology:
        assert await anext(stage.stream(max_demand=1)) == "x"
        await source._thread.call(lambda: None)  # behind the read that was begun ahead
        assert isinstance(source._reader, FilesReader)
        assert os.lseek(source._reader._file, 0, os.SEEK_CUR) == 2 * CHUNK_BYTES


BAD = '{"n": 1}\n{"n": 2}\nnonsense\n{"n": 4}\n\xff\n{"n": 6}\n'


async def test_a_bad_line_ends_the_run_with_one_sentence_and_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(BAD.encode("latin-1"))
    ran = await run(read_lines(path, decode="json"))
    assert isinstance(ran.outcome.reason, BadLine)
    assert str(ran.outcome.reason) == (
        f"{path}:3: the line is not JSON (Expecting value, column 1); "
        "mend the line, or leave such lines out with `on_error: skip`"
    )
    assert not ran.outcome.is_fine
    assert ran.stages[0].restarts == 0
    assert ran.stages[0].discarded["invalid"] == 1
    assert ran.events == [{"n": 1}, {"n": 2}]


async def test_bad_lines_are_left_out_counted_and_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(BAD.encode("latin-1") * 100)
    ran = await run(read_lines(path, decode="json", on_error="skip"))
    assert ran.events == [{"n": number} for number in (1, 2, 4, 6)] * 100
    assert ran.stages[0].discarded["invalid"] == 200
    assert ran.outcome.is_fine
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == (
        f"stage '0' leaves out a line (later ones are counted, not logged): {path}:3: "
        "the line is not JSON (Expecting value, column 1)"
    )


async def test_a_line_that_is_too_long_is_a_bad_line(tmp_path: Path) -> None:
    path = write(tmp_path / "in", f"short\n{'x' * 200_000}\nshort\n")
    ran = await run(read_lines(path, max_line_bytes="100kB", on_error="skip"))
    assert ran.events == ["short", "short"]
    assert ran.stages[0].discarded["invalid"] == 1


async def test_a_missing_file_is_said_before_anything_flows(tmp_path: Path) -> None:
    topology, _ = chain(read_lines(tmp_path / "missing"))
    with pytest.raises(StartFailed, match=r"'0' could not start: .*missing does not exist: check `path`"):
        await topology.start()


async def test_a_file_that_fails_in_the_middle_ends_the_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, name)
    source = read_lines(f"{tmp_path}/*")
    topology = Topology()
    stage = topology.add("0", lambda: source)
    await topology.start()
    (tmp_path / "b").unlink()
    stream = stage.stream()
    assert await anext(stream) == "a"
    with pytest.raises(CannotRead, match="b: does not exist"):
        await anext(stream)
    outcome = await topology.join()
    assert isinstance(outcome.reason, CannotRead)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


async def test_a_silent_pipe_does_not_hold_up_a_drain(pipe: Path) -> None:
    topology, collect = chain(read_lines(pipe))
    await topology.start()
    with pipe.open("w") as writer:
        writer.write("a\n")
        writer.flush()
        await until(lambda: collect.events == ["a"])
        outcome = await topology.drain(10)
    assert outcome.is_fine
    assert outcome.is_drained
    await until(lambda: not read_threads())


async def test_what_was_taken_out_of_a_pipe_goes_through_a_drain(pipe: Path) -> None:
    source = read_lines(pipe)
    gated = Gated()
    topology, _ = chain(source, gated, max_demand=2)
    await topology.start()
    with pipe.open("w") as writer:
        writer.write("".join(f"{number}\n" for number in range(9)) + "unfinished")
        writer.flush()
        await gated.entered.wait()
        draining = asyncio.ensure_future(topology.drain(10))
        await until(lambda: topology.state == "draining")
        gated.gate.set()
        outcome = await draining
    assert gated.events == list(map(str, range(9)))
    assert topology.snapshot().stages[0].discarded["cancelled"] == 1
    assert outcome.events_lost == 1


async def test_standard_input_is_read_to_its_end() -> None:
    program = """
import asyncio
from headrace.stages.sources.read_lines import ReadLines, ReadLinesOptions
from tests.stages.runs import run
ran = asyncio.run(run(ReadLines(ReadLinesOptions(path="-", decode="json"))))
print(ran.events, ran.outcome.reason)
"""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        input='{"a": 1}\n2\nx\n',
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.startswith("[{'a': 1}, 2] standard input:3: the line is not JSON"), done.stderr


async def test_csv_may_have_another_delimiter_and_no_header(tmp_path: Path) -> None:
    for name, last in (("plain", "b"), ("quoted", '"b;c"')):
        write(tmp_path / f"{name}.csv", f"1;a\n2;{last}\n")
    ran = await run(read_lines(tmp_path / "*.csv", decode="csv", delimiter=";", columns=["n", "s"]))
    assert ran.events == [{"n": "1", "s": "a"}, {"n": "2", "s": "b"}, {"n": "1", "s": "a"}, {"n": "2", "s": "b;c"}]
    tabs = await run(read_lines(write(tmp_path / "tabs", "n\ts\n1\ta,b\n"), decode="csv", delimiter="\t"))
    assert tabs.events == [{"n": "1", "s": "a,b"}]


@pytest.mark.parametrize(("name", "pack", "unpack"), [("gzip", gzip.compress, "zcat"), ("xz", lzma.compress, "xzcat")])
async def test_a_compressed_file_is_called_so(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes], unpack: str
) -> None:
    path = tmp_path / "app.log.packed"
    path.write_bytes(pack(b"1\n"))
    topology, _ = chain(read_lines(path))
    with pytest.raises(StartFailed, match=f"is compressed \\({name}\\), and only plain text is read.*{unpack} FILE"):
        await topology.start()


async def test_a_file_is_followed_across_rotation_and_truncation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_file, "LINGER_SECONDS", 0.1)
    path = tmp_path / "app.log"
    topology, collect = chain(read_lines(path, follow=True))
    async with topology:
        write(path, "1\n2\n")
        await until(lambda: collect.events == ["1", "2"])
        rotated = path.rename(tmp_path / "app.log.1")
        with rotated.open("a") as late:
            late.write("3\nlast")
        write(path, "4 is longer\n")
        await until(lambda: collect.events[2:] == ["3", "last", "4 is longer"])
        write(path, "5\n")
        await until(lambda: collect.events[5:] == ["5"])
    assert topology.outcome().is_fine
    await until(lambda: not read_threads())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "-", "follow": True}, "only one file can be followed"),
        ({"path": "*.log", "follow": True}, "only one file can be followed"),
        ({"path": ""}, "at least 1 character"),
        ({"path": "a", "decode": "xml"}, "'json', 'csv' or 'text'"),
        ({"path": "a", "on_error": "ignore"}, "'stop' or 'skip'"),
        ({"path": "a", "max_line_bytes": "0B"}, "greater than or equal to 1"),
        ({"path": "a", "max_line_bytes": 100}, "has no unit"),
        ({"path": "a", "paths": "b"}, "Extra inputs"),
        ({"path": "a", "delimiter": ";"}, "it is for CSV: add `decode: csv`"),
        ({"path": "a", "columns": ["a"], "decode": "json"}, "it is for CSV"),
        ({"path": "a", "decode": "csv", "delimiter": '"'}, "cannot separate fields"),
        ({"path": "a", "decode": "csv", "delimiter": ";;"}, "at most 1 character"),
        ({"path": "a", "decode": "csv", "columns": ["a", "a"]}, "two columns have one name"),
    ],
)
async def test_options_that_make_no_sense_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ReadLinesOptions.model_validate(options)
