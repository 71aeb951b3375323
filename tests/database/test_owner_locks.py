"""Owner locks: held as long as the OS process of the owner lives, and seen by others."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.database.owner_locks import OwnerLocks
from tests.fakes.forking import in_fork
from tests.fakes.os_processes import descriptors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    path.touch(0o640)
    return path


@pytest.fixture
def ours(path: Path) -> Iterator[OwnerLocks]:
    locks = OwnerLocks(path)
    locks.open()
    yield locks
    locks.close()


@pytest.fixture
def theirs(path: Path) -> Iterator[OwnerLocks]:
    locks = OwnerLocks(path)
    locks.open()
    yield locks
    locks.close()


def test_an_owner_lives_until_its_lock_is_released(ours: OwnerLocks, theirs: OwnerLocks) -> None:
    ours.lock("a")
    assert [theirs.is_alive(owner, ours.file_id) for owner in ("a", "b")] == [True, False]
    assert ours.is_alive("a", ours.file_id)
    ours.release("a")
    assert theirs.is_alive("a", ours.file_id) is False


def test_a_forked_child_neither_holds_nor_frees_the_locks_of_its_parent(ours: OwnerLocks, theirs: OwnerLocks) -> None:
    ours.lock("a")
    assert in_fork(lambda: [name for name in descriptors().values() if name.endswith("-owners")]) == "[]"
    assert theirs.is_alive("a", ours.file_id)


def test_an_owner_of_a_deleted_lock_file_is_not_taken_for_dead(path: Path, ours: OwnerLocks) -> None:
    ours.lock("a")
    Path(f"{path}-owners").unlink()
    late = OwnerLocks(path)
    late.open()
    assert late.is_alive("a", ours.file_id) is None
    late.close()


def test_the_file_may_be_locked_by_those_who_may_write_the_database(path: Path, ours: OwnerLocks) -> None:
    assert Path(f"{path}-owners").stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_made_is_said_and_leaves_the_answer_to_heartbeats(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    locks = OwnerLocks(tmp_path / "none" / "a.db")
    locks.open()
    locks.lock("a")
    assert locks.is_alive("b", os.getpid()) is None
    assert "seen after 15 s rather than at once" in caplog.text
    locks.close()


def test_root_leaves_the_file_to_the_user_of_the_file_beside_it(path: Path) -> None:
    owner = (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    locks = OwnerLocks(path)
    locks.open()
    found = path.with_name(f"{path.name}-owners").stat()
    assert (found.st_uid, found.st_gid) == owner
    locks.close()
