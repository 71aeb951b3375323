"""Finds the rotated files of a log in its folder, and their order."""

import os
import re
import time
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headrace.stages.errors import CannotOpen
from headrace.stages.files.chunks import Position
from headrace.stages.files.tracked_file import Identity, TrackedFile, are_alike, head_of

COMPRESSED: Final = (".gz", ".bz2", ".xz")
"""Suffixes of compressed rotated files that Python can read."""

_NUMBER_OR_DATE: Final = r"(?:old|\d[\dTZ.:_+-]*)"
_DATE: Final = r"\d{4}-?\d\d-?\d\d[\dTZ.:_+-]*"

LONGEST_NUMBER: Final = 3
"""The most digits of a rotation number, as in `app.log.12`, where a larger number is an older file. More are a date."""

Age = tuple[int, int, str]
"""Sorts rotated files from the oldest to the newest."""


class RotatedNames:
    """The names that rotation gives to a file: `app.log.1`, `app.log-20261124`, `app.log.old`, `app-2026-11-24.log`.

    Other names with the same prefix (`app.log.lock`, `app-errors.log`) belong to other files.
    """

    def __init__(self, name: str) -> None:
        stem, extension = Path(name).stem, Path(name).suffix
        suffixes = "|".join(map(re.escape, COMPRESSED))
        names = rf"{re.escape(name)}[._-]?(?P<after>{_NUMBER_OR_DATE})"
        if extension:
            names += rf"|{re.escape(stem)}[._-](?P<within>{_DATE}){re.escape(extension)}"
        self._pattern = re.compile(rf"(?:{names})(?P<ending>{suffixes})?")

    def match(self, name: str) -> bool:
        """Tell whether the name is that of a rotated file, compressed or not."""
        return self._pattern.fullmatch(name) is not None

    def age(self, name: str, modified_ns: int) -> Age:
        """Return the age of a file: its last change, and for equal times its name."""
        found = self._pattern.fullmatch(name)
        order = "" if found is None else found["after"] or found.groupdict().get("within") or ""
        if order.isdecimal() and len(order) <= LONGEST_NUMBER:
            return modified_ns, -int(order), ""
        return modified_ns, 0, order


def is_compressed(name: str) -> bool:
    """Tell whether a rotation has compressed the file of this name."""
    return name.endswith(COMPRESSED)


HEADS: Final = 250
"""How many heads of read files are remembered (1 MB at most), to tell copies of these files."""


TICK_NS: Final = 20_000_000
"""Changes of a folder within this time may leave it with the same time of change."""


@dataclass(frozen=True, slots=True)
class RotatedFile:
    """Unread files, oldest first, and the paths of unread files that cannot be read any more."""

    files: list[TrackedFile] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Rotated:
    path: str
    identity: Identity
    age: Age


class RotatedFolder:
    """Finds new rotated files: files that did not exist at the start, were not read, and are not copies of read files.

    A file is identified by its inode and its head, because inodes are reused. Blocks; one thread at a time.
    """

    def __init__(self, path: str) -> None:
        self._folder = str(Path(path).parent)
        self._names = RotatedNames(Path(path).name)
        self._known: dict[Identity, bytes] = {}
        self._heads: deque[bytes] = deque(maxlen=HEADS)
        self._scanned_ns = 0

    def has_changed(self) -> bool:
        """Tell whether files may have been added, removed or renamed since the last scan."""
        return Path(self._folder).stat().st_mtime_ns != self._scanned_ns

    def learn(self) -> None:
        """Mark all rotated files that exist now as known."""
        self._known = {each.identity: head_of(each.path) or b"" for each in self._rotated()}

    def know(self, file: TrackedFile) -> None:
        """Mark a file as read."""
        self._known[file.identity] = file.head
        self._heads.append(file.head)

    def age(self, file: TrackedFile) -> Age:
        """Return the age of a file among the rotated ones."""
        return self._names.age(Path(file.path).name, file.modified_ns)

    def missed(self, open_files: Collection[TrackedFile]) -> RotatedFile:
        """Return the files that appeared since the last scan, without `open_files` and copies."""
        rotated = self._rotated()
        known = {file.identity: file for file in open_files}
        for each in rotated:
            if each.identity in known:
                known[each.identity].path = each.path
        # The inode of a removed file may be reused.
        is_open = {file.identity for file in open_files if file.descriptor >= 0}
        found = self._open(
            [each for each in rotated if each.identity not in is_open], [file.head for file in open_files]
        )
        there = {each.identity for each in rotated}
        self._known = {identity: head for identity, head in self._known.items() if identity in there}
        return found

    def since(self, age: Age, open_files: Collection[TrackedFile]) -> RotatedFile:
        """Return the files that are no older than `age`, without `open_files` and copies."""
        known = {file.identity for file in open_files}
        newer = [each for each in self._rotated() if each.age >= age and each.identity not in known]
        return self._open(newer, [file.head for file in open_files])

    def copy_of(self, file: TrackedFile) -> TrackedFile | None:
        """Return the newest copy of a file that was truncated."""
        for each in reversed(self._rotated()):
            if each.identity != file.identity and not is_compressed(each.path):
                copy = _opened(each.path)
                if copy is not None and are_alike(copy.head, file.head):
                    return copy
                if copy is not None:
                    copy.close()
        return None

    def find(self, position: Position) -> TrackedFile | None:
        """Return the file of a position under any name, or a rotated copy of it."""
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if is_compressed(entry.name) or not _is_at(entry, position):
                    continue
                found = _opened_at(entry.path, position)
                if found is not None:
                    return found
        copies = (each.path for each in reversed(self._rotated()) if not is_compressed(each.path))
        if not position.head_bytes:
            return None
        return next((copy for path in copies if (copy := _opened_at(path, position)) is not None), None)

    def _rotated(self) -> list[_Rotated]:
        """Return all rotated files, oldest first."""
        rotated = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            changed_ns = Path(self._folder).stat().st_mtime_ns
            is_complete = time.time_ns() > changed_ns + TICK_NS
            self._scanned_ns = changed_ns if is_complete else 0
            for entry in entries:
                with suppress(FileNotFoundError):
                    if self._names.match(entry.name) and entry.is_file():
                        status = entry.stat()
                        age = self._names.age(entry.name, status.st_mtime_ns)
                        rotated.append(_Rotated(entry.path, (status.st_dev, status.st_ino), age))
        return sorted(rotated, key=lambda each: each.age)

    def _open(self, rotated: list[_Rotated], open_files: list[bytes]) -> RotatedFile:
        found = RotatedFile()
        for each in rotated:
            head = head_of(each.path)
            if head is None and (is_compressed(each.path) or not Path(each.path).exists()):
                continue  # it is being compressed, or was removed
            is_known = self._is_known(each.identity, head or b"", open_files)
            self._known[each.identity] = head or b""
            if is_known:
                continue
            file = None if is_compressed(each.path) else _opened(each.path)
            if file is not None:
                found.files.append(file)
            elif head != b"":
                found.lost.append(each.path)
        return found

    def _is_known(self, identity: Identity, head: bytes, open_files: list[bytes]) -> bool:
        before = self._known.get(identity)
        if before is not None and (head.startswith(before) if before else not head):
            return True
        return any(are_alike(head, other) for other in (*self._heads, *self._known.values(), *open_files))


def _is_at(entry: os.DirEntry[str], position: Position) -> bool:
    """Tell whether a folder entry is the file of a position; a broken link is not."""
    with suppress(OSError):
        status = entry.stat()
        return (status.st_dev, status.st_ino) == (position.device, position.inode)
    return False


def _opened(path: str) -> TrackedFile | None:
    with suppress(CannotOpen):
        return TrackedFile.open(path)
    return None


def _opened_at(path: str, position: Position) -> TrackedFile | None:
    """Open a file if it has the bytes before a position, and a line begins there."""
    file = _opened(path)
    if file is None:
        return None
    if file.is_at(position):
        file.offset = position.offset
        if file.begins_line():
            return file
    file.close()
    return None
