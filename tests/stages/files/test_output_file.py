"""Lines are put at the end of a file, whole."""

import os
import threading
from pathlib import Path

import pytest

from headrace.stages.errors import CannotOpen, CannotWrite
from headrace.stages.files.output_file import OutputFile
from tests.fakes.no_room import no_room


def append(path: Path | str, *lines: bytes) -> None:
    file = OutputFile(str(path))
    file.open()
    for line in lines:
        file.write(line)
    file.close()


def test_lines_are_appended_and_the_file_is_made_if_need_be(tmp_path: Path) -> None:
    path = tmp_path / "out"
    append(path, b"a\n", b"b\n")
    append(path, b"c\n")
    assert path.read_bytes() == b"a\nb\nc\n"


def test_a_last_line_that_was_left_unfinished_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"a\nunfinish")
    append(path, b"b\n")
    assert path.read_bytes() == b"a\nunfinish\nb\n"


def test_what_is_larger_than_a_pipe_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    data = b"x" * 1_000_000
    append(path, data)
    reader.join()
    assert read == [data]


def test_a_pipe_that_somebody_made_non_blocking_is_waited_for() -> None:
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    data = b"x" * 1_000_000
    read: list[bytes] = []

    def read_all() -> None:
        with os.fdopen(readable, "rb") as pipe:
            read.append(pipe.read())

    reader = threading.Thread(target=read_all)
    file = OutputFile("pipe")
    file._file = writable
    reader.start()
    file.write(data)
    file.close()
    reader.join()
    assert read == [data]


def test_standard_output_is_written_to_and_left_open(capfd: pytest.CaptureFixture[str]) -> None:
    append("-", b"a\n")
    append("-", b"b\n")
    assert capfd.readouterr().out == "a\nb\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing/out", "is in a folder that does not exist: make the folder first"),
        ("", r"cannot be opened for writing \(Is a directory\)"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_sentence(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(CannotOpen, match=said):
        append(f"{tmp_path}/{name}")


def test_a_full_disk_is_said_in_one_sentence() -> None:
    with pytest.raises(CannotWrite, match="cannot write to /dev/full: No space left on device; make room or mend it"):
        append("/dev/full", b"a\n")


@pytest.mark.parametrize(("room", "left"), [(4, "1\n2\n"), (5, "1\n2\n"), (13, "1\n2\n3456789\n"), (2, "1\n"), (1, "")])
def test_a_line_for_which_there_was_no_room_is_taken_back(tmp_path: Path, room: int, left: str) -> None:
    path = tmp_path / "out"
    file = OutputFile(str(path))
    file.open()
    with no_room(room), pytest.raises(CannotWrite, match="File too large"):
        file.write(b"1\n2\n3456789\n10\n")
    assert path.read_text() == left
    file.write(b"last\n")
    file.close()
    assert path.read_text() == f"{left}last\n"
