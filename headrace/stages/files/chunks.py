"""Where the bytes of lines come from, in chunks: what every reader of files does."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from headrace.stages.errors import CannotOpen, MissingFile
from headrace.stages.files.progress import BEGINNING, Position

CHUNK_BYTES: Final = 64 * 1024
"""Some hundred lines, decoded in about a millisecond. At most two chunks are read and not asked for yet."""

STANDARD_INPUT: Final = "-"

_MAGIC: Final[Mapping[str, bytes]] = {
    "gzip": b"\x1f\x8b\x08",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
}
"""How compressed files begin, as no text in UTF-8 does. That of bzip2, `BZh`, could be text."""

_UNPACKERS: Final[Mapping[str, str]] = {"gzip": "zcat", "xz": "xzcat", "zstd": "zstdcat"}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bytes of the file at `path`; `is_last` where that file has ended, and then there are none.

    `is_lasting` says that the bytes can be read again: they are in a file, and not taken out of a pipe. `end` is where
    the next chunk begins, as far as the reader keeps account of that.
    """

    path: str
    data: bytes
    is_last: bool
    is_lasting: bool
    end: Position = BEGINNING


class ChunkReader(Protocol):
    """Reads chunks in a thread of its own: all but `wake` may block, and are called in that one thread."""

    def open(self) -> None:
        """Open what there is to read first; raises `CannotOpen`."""

    def read(self) -> Chunk | None:
        """Wait for the next chunk; None at the end of all, or after `wake`. Raises `CannotRead`."""

    def wake(self) -> None:
        """Let the `read` that waits, and all later ones, return None. From any thread, and not after `close`."""

    def take_losses(self) -> Sequence[int]:
        """Return what was lost since the last call: for each file of which something was, how many bytes at least.

        From any thread.
        """

    def close(self) -> None:
        """Close everything."""


def called(path: str) -> str:
    """Return what a sentence calls a file."""
    return "standard input" if path == STANDARD_INPUT else path


def open_file(path: str) -> int:
    """Return a descriptor to read from; a pipe does not wait for its writer. Raises `CannotOpen`."""
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
    """Return the name of what has compressed a file; empty where it is none that is known, or no file."""
    if not is_lasting(file):
        return ""
    begin = os.pread(file, 8, 0)
    return next((name for name, magic in _MAGIC.items() if begin.startswith(magic)), "")


def is_lasting(file: int) -> bool:
    """Whether an open file keeps its bytes, so that they can be read again."""
    return stat.S_ISREG(os.fstat(file).st_mode)


def is_pattern(path: str) -> bool:
    """Whether a path may stand for several files: `*`, `?`, `[...]`, and `**` for folders at any depth."""
    return any(sign in path for sign in "*?[")
