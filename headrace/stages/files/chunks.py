"""Bytes of files in chunks, one file after another, and the position reached."""

import glob
import os
import select
import stat
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from typing_extensions import override

from headrace.stages.errors import CannotOpen, CannotRead, MissingFile


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file: the file's device and inode, and the number of bytes before the place.

    `modified_ns` is when the file last changed. `head_hash` is a hash of its first `head_bytes` bytes, which tell it
    from a later file with the same inode.
    """

    device: int
    inode: int
    offset: int
    modified_ns: int = 0
    head_bytes: int = 0
    head_hash: str = ""


BEGINNING: Final = Position(0, 0, 0)
"""The position before the first byte of any file."""


@dataclass(slots=True, eq=False)
class Piece:
    """The events of one read; `end` is where the next piece begins."""

    end: Position
    is_over: bool = False


class ReadProgress:
    """The pieces that are not finished, oldest first. A restart reads again from the first of them."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()

    def begin(self, end: Position) -> Piece:
        """Add a piece that is emitted now."""
        piece = Piece(end)
        self._pieces.append(piece)
        return piece

    def over(self, piece: Piece) -> Position | None:
        """Finish a piece; return the position that all finished pieces reach, if it moved."""
        piece.is_over = True
        position = None
        while self._pieces and self._pieces[0].is_over:
            position = self._pieces.popleft().end
        return position

    def __len__(self) -> int:
        return len(self._pieces)


CHUNK_BYTES: Final = 64 * 1024
"""Some hundred lines, decoded in about a millisecond. At most two chunks are read ahead of demand."""

STANDARD_INPUT: Final = "-"

_MAGIC: Final[Mapping[str, bytes]] = {
    "gzip": b"\x1f\x8b\x08",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
}
"""The first bytes of compressed files, which no UTF-8 text has. Those of bzip2, `BZh`, could be text."""

_UNPACKERS: Final[Mapping[str, str]] = {"gzip": "zcat", "xz": "xzcat", "zstd": "zstdcat"}


@dataclass(frozen=True, slots=True)
class FileChunk:
    """Some bytes of the file at `path`. The chunk at the end of a file has `is_last` and no bytes.

    With `is_lasting` the bytes can be read again: they come from a file and not from a pipe. `end` is where the next
    chunk begins, if the reader tracks positions.
    """

    path: str
    data: bytes
    is_last: bool
    is_lasting: bool
    end: Position = BEGINNING


class ChunkReader(Protocol):
    """Reads chunks. All methods but `wake` may block, and are called in one thread of their own."""

    def open(self) -> None:
        """Open the first file. Raises `CannotOpen`."""

    def read(self) -> FileChunk | None:
        """Wait for the next chunk; None at the end of the last file, or after `wake`. Raises `CannotRead`."""

    def wake(self) -> None:
        """Let the waiting `read`, and all later ones, return None. Thread-safe; not after `close`."""

    def take_losses(self) -> Sequence[int]:
        """Return, for each damaged file, the least number of bytes lost since the last call. Thread-safe."""
        return ()

    def close(self) -> None:
        """Close everything."""


def called(path: str) -> str:
    """Return the name of a file in messages."""
    return "standard input" if path == STANDARD_INPUT else path


def open_file(path: str) -> int:
    """Return a descriptor to read from, without waiting for the writer of a pipe. Raises `CannotOpen`."""
    try:
        if path == STANDARD_INPUT:
            return os.dup(0)
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise MissingFile(path, "does not exist") from None
    except OSError as error:
        why = f"cannot be opened ({error.strerror})"
        raise CannotOpen(called(path), why, "mend it, or name another in `path`") from None
    if stat.S_ISDIR(os.fstat(file).st_mode):
        os.close(file)
        raise CannotOpen(path, "is a folder", f"name a file in it, or many by a pattern such as {path}/*")
    packing = _packing(file)
    if packing:
        os.close(file)
        why = f"is compressed ({packing}), and only plain text is read"
        pipe = f"{_UNPACKERS[packing]} FILE | headrace run ..."
        raise CannotOpen(path, why, f"unpack it first, or pipe it in: `{pipe}` with `path: -`")
    return file


def _packing(file: int) -> str:
    """Return the compression of a file; empty for a file without a known compression, and for a pipe."""
    if not is_lasting(file):
        return ""
    begin = os.pread(file, 8, 0)
    return next((name for name, magic in _MAGIC.items() if begin.startswith(magic)), "")


def is_lasting(file: int) -> bool:
    """Tell whether an open file keeps its bytes, so that they can be read again."""
    return stat.S_ISREG(os.fstat(file).st_mode)


def is_pattern(path: str) -> bool:
    """Tell whether a path is a pattern: `*`, `?`, `[...]`, and `**` for folders at any depth."""
    return any(sign in path for sign in "*?[")


class FilesReader(ChunkReader):
    """Reads one file, or all files that match a pattern, in the order of their names.

    A file may be a pipe, a terminal, or `-` for standard input: `wake` ends a wait for it through another pipe.
    """

    def __init__(self, path: str) -> None:
        self._pattern = path
        self._paths: list[str] = []
        self._path = ""
        self._file = -1
        self._is_lasting = True
        self._is_woken = False
        self._wakeup, self._waker = -1, -1

    @override
    def open(self) -> None:
        self._wakeup, self._waker = os.pipe()
        self._paths = _find(self._pattern)
        self._open_next()

    @override
    def read(self) -> FileChunk | None:
        if self._file < 0:
            if not self._paths or self._is_woken:
                return None
            try:
                self._open_next()
            except CannotOpen as error:
                raise CannotRead(error.what, error.why) from error
        data = self._read()
        if data is None:
            return None
        if not data:
            os.close(self._file)
            self._file = -1
        return FileChunk(called(self._path), data, is_last=not data, is_lasting=self._is_lasting)

    @override
    def wake(self) -> None:
        self._is_woken = True
        if self._waker >= 0:
            os.write(self._waker, b"!")

    @override
    def close(self) -> None:
        for opened in (self._file, self._wakeup, self._waker):
            if opened >= 0:
                os.close(opened)
        self._file = self._wakeup = self._waker = -1

    def _open_next(self) -> None:
        self._path = self._paths.pop()
        self._file = open_file(self._path)
        self._is_lasting = is_lasting(self._file)

    def _read(self) -> bytes | None:
        """Return some bytes, none at the end of the file, or None when woken."""
        while not self._is_woken:
            try:
                if self._is_lasting or self._has_come():
                    return os.read(self._file, CHUNK_BYTES)
            except BlockingIOError:  # another reader of the pipe was faster
                continue
            except OSError as error:
                raise CannotRead(called(self._path), error.strerror or str(error)) from error
        return None

    def _has_come(self) -> bool:
        """Wait for the pipe or for `wake`; return whether the pipe has bytes."""
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        return any(file == self._file for file, _ in poll.poll())


def _find(pattern: str) -> list[str]:
    """Return the paths, last first. An existing file with `*` in its name is that file, and no pattern."""
    if not is_pattern(pattern) or Path(pattern).exists():
        return [pattern]
    matching = glob.iglob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no pattern that begins with /
    found = [path for path in matching if not Path(path).is_dir()]
    if not found:
        raise MissingFile(pattern, "matches no file")
    return sorted(found, reverse=True)
