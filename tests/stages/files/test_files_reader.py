"""Files, pipes and standard input are read in chunks, and whoever waits for one can be woken."""

import os
import threading
from pathlib import Path

import pytest

from headrace.stages.errors import CannotOpen, CannotRead, MissingFile
from headrace.stages.files.chunks import CHUNK_BYTES, FileChunk, FilesReader


def read_all(reader: FilesReader) -> list[FileChunk]:
    chunks: list[FileChunk] = []
    while (chunk := reader.read()) is not None:
        chunks.append(chunk)
    reader.close()
    return chunks


def test_files_are_read_in_the_order_of_their_names_each_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    for name in ("b.log", "a.log", "deeper/c.log", "d.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "e.log").mkdir()
    reader = FilesReader(f"{tmp_path}/**/*.log")
    reader.open()
    chunks = read_all(reader)
    assert [Path(chunk.path).name for chunk in chunks] == ["a.log", "a.log", "b.log", "b.log", "c.log", "c.log"]
    assert [chunk.data for chunk in chunks] == [b"a.log", b"", b"b.log", b"", b"deeper/c.log", b""]
    assert [chunk.is_last for chunk in chunks] == [False, True] * 3
    assert all(chunk.is_lasting for chunk in chunks)


def test_a_file_that_has_the_name_of_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "[a].log").write_text("itself")
    (tmp_path / "a.log").write_text("another")
    reader = FilesReader(f"{tmp_path}/[a].log")
    reader.open()
    assert read_all(reader)[0].data == b"itself"


def test_no_chunk_is_larger_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (2 * CHUNK_BYTES + 1))
    reader = FilesReader(f"{tmp_path}/large")
    reader.open()
    assert [len(chunk.data) for chunk in read_all(reader)] == [CHUNK_BYTES, CHUNK_BYTES, 1, 0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.log", "missing.log does not exist: check `path`, which begins in"),
        ("*.log", "*.log matches no file: check `path`"),
        ("", "is a folder: name a file in it"),
        ("file/x", "cannot be opened (Not a directory)"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_sentence(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").touch()
    reader = FilesReader(f"{tmp_path}/{name}")
    with pytest.raises(CannotOpen) as caught:
        reader.open()
    assert said in str(caught.value)
    assert isinstance(caught.value, MissingFile) == name.endswith(".log")
    reader.wake()
    reader.close()


def test_a_file_that_goes_away_before_its_turn_ends_the_reading(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    reader = FilesReader(f"{tmp_path}/*")
    reader.open()
    (tmp_path / "b").unlink()
    assert reader.read() == FileChunk(f"{tmp_path}/a", b"", is_last=True, is_lasting=True)
    with pytest.raises(CannotRead, match="b: does not exist"):
        reader.read()
    reader.close()


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return str(path)


def test_a_pipe_waits_for_its_first_writer_and_ends_with_its_last(pipe: str) -> None:
    reader = FilesReader(pipe)
    reader.open()
    writer = threading.Thread(target=lambda: Path(pipe).write_bytes(b"hello"))
    writer.start()
    chunks = read_all(reader)
    writer.join()
    assert b"".join(chunk.data for chunk in chunks) == b"hello"
    assert chunks[-1].is_last
    assert not any(chunk.is_lasting for chunk in chunks)


def test_whoever_waits_for_a_silent_pipe_can_be_woken(pipe: str) -> None:
    reader = FilesReader(pipe)
    reader.open()
    woken: list[FileChunk | None] = []
    waiting = threading.Thread(target=lambda: woken.append(reader.read()))
    waiting.start()
    reader.wake()
    waiting.join()
    assert woken == [None]
    assert reader.read() is None
    reader.close()


def test_nothing_stays_open(tmp_path: Path, pipe: str) -> None:
    (tmp_path / "file").write_text("x")
    before = set(Path("/proc/self/fd").iterdir())
    for path in (f"{tmp_path}/file", pipe, "-"):
        reader = FilesReader(path)
        reader.open()
        reader.close()
    assert set(Path("/proc/self/fd").iterdir()) == before
