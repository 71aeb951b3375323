"""However a followed file is rotated, each line is read once, or the loss is reported."""

import gzip
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.stages.files import followed_file, rotation
from headrace.stages.files.chunks import BEGINNING, Position
from headrace.stages.files.decoders import ChunkDecoder, JsonDecoder
from headrace.stages.files.followed_file import FollowedFile


@pytest.fixture(autouse=True, scope="module")
def _nobody_looks_but_the_test() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(followed_file, "POLL_SECONDS", 1000.0)
        patch.setattr(followed_file, "LINGER_SECONDS", 0.0)
        patch.setattr(rotation, "OPEN_FILES", 4)
        yield


class Site:
    """A log that is rotated, and a reader with a checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app.log"
        self.written = 0
        self.got: list[int] = []
        self.losses: list[int] = []
        self.position = BEGINNING
        self.path.touch()
        self.open()

    def open(self) -> None:
        self.reader = FollowedFile(str(self.path), lambda: self.position, chunk_bytes=100)
        self.decoder = ChunkDecoder(JsonDecoder(), 1000)
        self.reader.open()
        if self.position == BEGINNING:
            self.read(1)  # the checkpoint says which file it is

    def restart(self) -> None:
        self.close()
        self.open()

    def close(self) -> None:
        self.reader.wake()
        self.losses += self.reader.take_losses()
        self.reader.close()

    def write(self, count: int) -> None:
        with self.path.open("a") as file:
            for _ in range(count):
                self.written += 1
                file.write(f"{self.written:09d}"[::-1].rstrip("0")[::-1] + "\n")

    def shift(self) -> None:
        """Make room for a new app.log.1."""
        for path in sorted(self.path.parent.glob("app.log.*"), key=lambda path: -int(path.name.split(".")[2])):
            _, _, number, *ending = path.name.split(".")
            path.rename(path.with_name(".".join(["app.log", str(int(number) + 1), *ending])))

    def rename(self) -> None:
        if self.path.exists():
            self.shift()
            self.path.rename(f"{self.path}.1")
            self.path.touch()

    def copy_truncate(self) -> None:
        if self.path.exists():
            self.shift()
            shutil.copy(self.path, f"{self.path}.1")
            os.truncate(self.path, 0)

    def remove(self) -> None:
        self.reader.check()
        with suppress(FileNotFoundError):
            self.path.unlink()

    def compress(self) -> None:
        """Compress all rotated files, as gzip does, once each has been seen."""
        self.reader.check()
        for path in self.path.parent.glob("app.log.*"):
            if path.suffix != ".gz":
                times = path.stat()
                packed = Path(f"{path}.gz")
                packed.write_bytes(gzip.compress(path.read_bytes()))
                os.utime(packed, ns=(times.st_atime_ns, times.st_mtime_ns))
                path.unlink()

    def check(self) -> None:
        self.reader.check()

    def read(self, chunks: int) -> bool:
        """Read some chunks; return whether there were so many."""
        for _ in range(chunks):
            chunk = self.reader.read_nowait()
            if chunk is None:
                return False
            decoded = self.decoder.decode(chunk)
            assert not decoded.refused, decoded.refused
            self.got += [int(str(event)) for event in decoded.events]
            end, rest = chunk.end, self.decoder.rest_bytes
            self.position = Position(
                end.device, end.inode, end.offset - rest, end.modified_ns, end.head_bytes, end.head_hash
            )
        return True

    def finish(self) -> None:
        """Read all there is to read."""
        while self.read(100):
            pass
        self.close()

    @property
    def missing(self) -> set[int]:
        return set(range(1, self.written + 1)) - set(self.got)


steps = {
    "write": st.tuples(st.just("write"), st.integers(1, 60)),
    "read": st.tuples(st.just("read"), st.integers(1, 8)),
    **{
        name: st.tuples(st.just(name)) for name in ("check", "rename", "copy_truncate", "remove", "compress", "restart")
    },
}


def schedule(*names: str) -> st.SearchStrategy[list[tuple[object, ...]]]:
    return st.lists(st.one_of(steps["write"], *(steps[name] for name in names)), max_size=25)


def run(plan: list[tuple[object, ...]]) -> Site:
    with TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for name, *values in plan:
            getattr(site, str(name))(*values)
        site.finish()
    return site


@given(schedule("read", "check", "rename"))
@settings(max_examples=60)
def test_no_line_is_lost_however_often_the_file_is_renamed_while_the_reader_is_behind(
    plan: list[tuple[object, ...]],
) -> None:
    site = run(plan)
    assert site.got == list(range(1, site.written + 1))
    assert site.losses == []


@given(schedule("read", "check", "rename", "copy_truncate"))
@example([("write", 1), ("check",), ("copy_truncate",), *[("write", 1), ("rename",)] * 2])
@settings(max_examples=60)
def test_no_line_is_lost_where_the_file_is_copied_and_cut(plan: list[tuple[object, ...]]) -> None:
    site = run(plan)
    assert site.got == list(range(1, site.written + 1))
    assert site.losses == []


@given(schedule("read", "check", "rename", "remove", "compress"))
@settings(max_examples=60)
def test_no_line_of_a_few_files_that_were_seen_is_lost_when_they_are_removed(plan: list[tuple[object, ...]]) -> None:
    site = run(plan)
    assert site.got == sorted(site.got)
    assert len(site.got) == len(set(site.got))
    assert bool(site.losses) == bool(site.missing)


@given(schedule("read", "check", "rename", "copy_truncate", "remove", "compress"))
@example(
    [
        *[("copy_truncate",), ("remove",), ("write", 1)],
        *[("copy_truncate",), ("compress",)] * 2,
        *[("write", 1), ("copy_truncate",), ("remove",)],
    ]
)
@settings(max_examples=100)
def test_a_missing_line_is_reported_whatever_is_done_to_the_files(plan: list[tuple[object, ...]]) -> None:
    site = run(plan)
    assert len(site.got) == len(set(site.got))
    assert not site.missing or site.losses


@given(schedule("read", "check", "rename", "copy_truncate", "restart"))
@settings(max_examples=60)
def test_no_line_is_lost_across_restarts(plan: list[tuple[object, ...]]) -> None:
    site = run(plan)
    assert not site.missing
    assert site.losses == []


@given(schedule("read", "check", "rename", "copy_truncate", "remove", "compress", "restart"))
@settings(max_examples=100)
def test_a_line_that_is_missing_after_restarts_is_reported(plan: list[tuple[object, ...]]) -> None:
    site = run(plan)
    assert not site.missing or site.losses


def test_a_link_that_leads_nowhere_does_not_stop_a_restart_behind_a_rotation(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write(3)
    site.read(1)
    site.rename()
    site.close()
    for name in "abcdefgh":  # one of them comes before the rotated file, whatever order the folder has
        (tmp_path / name).symlink_to(tmp_path / "nowhere")
    site.open()
    site.write(1)
    site.finish()
    assert site.got == [1, 2, 3, 4]
