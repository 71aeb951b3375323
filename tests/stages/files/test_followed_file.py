"""A file that others write is read on, whatever they do with it."""

import os
import threading
from pathlib import Path

import pytest

from headrace.stages.errors import CannotOpen, CannotRead
from headrace.stages.files import followed_file
from headrace.stages.files.chunks import FileChunk
from headrace.stages.files.followed_file import FollowedFile


@pytest.fixture(autouse=True)
def _no_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a replaced file at its end at once."""
    monkeypatch.setattr(followed_file, "LINGER_SECONDS", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def opened(path: Path) -> FollowedFile:
    reader = FollowedFile(str(path))
    reader.open()
    return reader


def data(chunk: FileChunk | None) -> bytes:
    """Return a chunk's bytes, `$` for the end of a file."""
    assert chunk is not None
    return b"$" if chunk.is_last else chunk.data


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_file_is_read_from_its_beginning_and_on(path: Path) -> None:
    path.write_text("one")
    reader = opened(path)
    assert data(reader.read()) == b"one"
    append(path, "two")
    assert data(reader.read()) == b"two"
    reader.close()


def test_a_file_that_is_not_there_yet_is_waited_for(path: Path) -> None:
    reader = opened(path)
    writer = threading.Timer(0, lambda: path.write_text("new"))
    writer.start()
    assert data(reader.read()) == b"new"
    writer.join()
    reader.close()


def test_a_file_is_read_to_its_end_before_the_one_that_took_its_name(path: Path) -> None:
    path.write_text("old")
    reader = opened(path)
    assert data(reader.read()) == b"old"
    rotated = path.rename(path.with_suffix(".1"))
    append(rotated, "er")
    path.write_text("new")
    assert [data(reader.read()) for _ in range(3)] == [b"er", b"$", b"new"]
    reader.close()


def test_a_renamed_file_is_read_on_until_the_new_one_is_there(path: Path) -> None:
    path.write_text("old")
    reader = opened(path)
    assert data(reader.read()) == b"old"
    rotated = path.rename(path.with_suffix(".1"))
    append(rotated, "er")
    assert data(reader.read()) == b"er"
    append(rotated, "est")
    assert data(reader.read()) == b"est"
    path.write_text("new")
    assert [data(reader.read()) for _ in range(2)] == [b"$", b"new"]
    reader.close()


def test_a_file_that_was_cut_is_read_from_its_beginning(path: Path) -> None:
    path.write_text("a long text")
    reader = opened(path)
    assert data(reader.read()) == b"a long text"
    path.write_text("short")
    assert [data(reader.read()) for _ in range(2)] == [b"$", b"short"]
    reader.close()


def test_whoever_waits_for_more_can_be_woken(path: Path) -> None:
    path.touch()
    reader = opened(path)
    woken: list[FileChunk | None] = []
    waiting = threading.Thread(target=lambda: woken.append(reader.read()))
    waiting.start()
    reader.wake()
    waiting.join()
    assert woken == [None]
    reader.close()


def test_a_pipe_cannot_be_followed(path: Path) -> None:
    os.mkfifo(path)
    reader = FollowedFile(str(path))
    with pytest.raises(CannotOpen, match="is not a file: leave `follow` out"):
        reader.open()
    reader.close()


def test_a_folder_that_takes_the_name_ends_the_reading(path: Path) -> None:
    path.write_text("old")
    reader = opened(path)
    assert data(reader.read()) == b"old"
    path.unlink()
    path.mkdir()
    assert data(reader.read()) == b"$"
    with pytest.raises(CannotRead, match="is a folder"):
        reader.read()
    reader.close()
