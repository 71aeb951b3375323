"""The first bytes of a file: they tell it from another one that got its number, and a copy from the file it is of."""

import bz2
import gzip
import hashlib
import lzma
import os
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BufferedIOBase, FileIO
from pathlib import Path
from typing import Final

HEAD_BYTES: Final = 4096
"""Several lines of a log, whose times differ; read at each look, in a microsecond or two."""

_OPENERS: Final[Mapping[str, Callable[[str], BufferedIOBase | FileIO]]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}


def read_head(file: int) -> bytes:
    """Return the first bytes of an open file."""
    return os.pread(file, HEAD_BYTES, 0)


def head_of(path: str) -> bytes | None:
    """Return the first bytes of a file, of what is compressed in it where it is; None where they cannot be read."""
    opener = _OPENERS.get(Path(path).suffix, FileIO)
    with suppress(OSError, EOFError, lzma.LZMAError, zlib.error), opener(path) as file:
        return file.read(HEAD_BYTES)
    return None


def are_alike(one: bytes, other: bytes) -> bool:
    """Tell whether two heads may be those of the same bytes, of which one was read when there were fewer."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def digest(head: bytes) -> str:
    """Return a short text that stands for a head."""
    return hashlib.blake2b(head, digest_size=16).hexdigest()
