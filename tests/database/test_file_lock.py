"""A lock on a file: one holder at a time, in whatever OS process, and free once the holder is no more."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from headrace.database.file_lock import FileLock
from tests.fakes.forking import in_fork
from tests.fakes.os_processes import descriptors

HOLDS: Final = """
import sys
from pathlib import Path
from headrace.database.file_lock import FileLock

lock = FileLock(Path(sys.argv[1]))
print(lock.take(), flush=True)
sys.stdin.read()
"""


def test_one_holds_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "a"), FileLock(tmp_path / "a")
    assert first.take() is None
    assert second.take() == "another stage or run of this OS process"
    second.release()  # it never had it
    assert second.take() is not None
    first.release()
    assert second.take() is None
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_it_is_free_once_its_holder_was_killed(tmp_path: Path) -> None:
    program, pipe = [sys.executable, "-P", "-c", HOLDS, str(tmp_path / "a")], subprocess.PIPE
    lock = FileLock(tmp_path / "a")
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "None\n"
        assert lock.take() == f"another run (process {child.pid})"
        child.kill()
    assert (tmp_path / "a.lock").exists()
    assert lock.take() is None
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_does_not_keep_the_lock_of_its_parent(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "a"), FileLock(tmp_path / "a")
    assert lock.take() is None
    held = str(tmp_path / "a.lock")
    assert held in descriptors().values()
    assert in_fork(lambda: held in descriptors().values()) == "False"
    assert other.take() is not None
    lock.release()


def test_two_names_of_one_file_have_one_lock(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    first, second = FileLock(tmp_path / "a"), FileLock(tmp_path / "link")
    assert first.take() is None
    assert second.take() is not None
    first.release()


def test_a_lock_that_was_removed_by_hand_is_not_removed_for_others(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "a"), FileLock(tmp_path / "a")
    assert first.take() is None
    (tmp_path / "a.lock").unlink()
    assert second.take() is None
    first.release()
    assert first.take() is not None
    second.release()


def test_where_no_file_can_be_there_is_no_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "nowhere" / "a").take()


def test_of_many_at_once_no_two_have_it(tmp_path: Path) -> None:
    inside = threading.Semaphore(1)

    def often(_: int) -> int:
        lock, had = FileLock(tmp_path / "a"), 0
        while had < 100:
            if lock.take() is None:
                assert inside.acquire(blocking=False)
                had += 1
                os.sched_yield()
                inside.release()
                lock.release()
        return had

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(often, range(4))) == [100] * 4
    assert list(tmp_path.iterdir()) == []
