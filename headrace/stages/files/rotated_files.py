"""Names of rotated files: which files of a folder were once called `app.log`, and which of them is older."""

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
"""Endings of files that a rotation has compressed, and that Python can look into."""

_NUMBER_OR_DATE: Final = r"(?:old|\d[\dTZ.:_+-]*)"
_DATE: Final = r"\d{4}-?\d\d-?\d\d[\dTZ.:_+-]*"

LONGEST_NUMBER: Final = 3
"""Digits of a rotation's number, as in `app.log.12`: the larger it is the older is the file. More digits are a date."""

Age = tuple[int, int, str]
"""Sorts rotated files from the oldest to the newest."""


class RotatedNames:
    """The names that rotation gives to a file: `app.log.1`, `app.log-20261124`, `app.log.old`, `app-2026-11-24.log`.

    Other names that begin alike (`app.log.lock`, `app-errors.log`) are those of other files.
    """

    def __init__(self, name: str) -> None:
        stem, extension = Path(name).stem, Path(name).suffix
        suffixes = "|".join(map(re.escape, COMPRESSED))
        names = rf"{re.escape(name)}[._-]?(?P<after>{_NUMBER_OR_DATE})"
        if extension:
            names += rf"|{re.escape(stem)}[._-](?P<within>{_DATE}){re.escape(extension)}"
        self._pattern = re.compile(rf"(?:{names})(?P<ending>{suffixes})?")

    def match(self, name: str) -> bool:
        """Tell whether a file of this name may be an older one, compressed or not."""
        return self._pattern.fullmatch(name) is not None

    def age(self, name: str, modified_ns: int) -> Age:
        """Return where a file comes in order: by its last change, and where that is the same by its name."""
        found = self._pattern.fullmatch(name)
        order = "" if found is None else found["after"] or found.groupdict().get("within") or ""
        if order.isdecimal() and len(order) <= LONGEST_NUMBER:
            return modified_ns, -int(order), ""
        return modified_ns, 0, order


def is_compressed(name: str) -> bool:
    """Tell whether a rotation has compressed the file of this name."""
    return name.endswith(COMPRESSED)


HEADS: Final = 250
"""Of so many files that were read the first bytes are remembered, a megabyte at most: a copy of one is not read."""


TICK_NS: Final = 20_000_000
"""Changes within less than that may leave a folder with the same time of change."""


@dataclass(frozen=True, slots=True)
class RotatedFile:
    """Files that nobody has read, oldest first, and the paths of those that cannot be read any more."""

    files: list[TrackedFile] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Rotated:
    path: str
    identity: Identity
    age: Age


class RotatedFolder:
    """Tells rotated files that are new from those that were there before, were read, or are copies of such.

    A file is known by its number and its first bytes: numbers are given anew. Blocks; one thread at a time.
    """

    def __init__(self, path: str) -> None:
        self._folder = str(Path(path).parent)
        self._names = RotatedNames(Path(path).name)
        self._known: dict[Identity, bytes] = {}
        self._heads: deque[bytes] = deque(maxlen=HEADS)
        self._scanned_ns = 0

    def has_changed(self) -> bool:
        """Tell whether files may have come, gone or been renamed since the folder was looked through."""
        return Path(self._folder).stat().st_mtime_ns != self._scanned_ns

    def learn(self) -> None:
        """Take all rotated files that are there now for known."""
        self._known = {each.identity: head_of(each.path) or b"" for each in self._rotated()}

    def know(self, file: TrackedFile) -> None:
        """Remember a file that was read."""
        self._known[file.identity] = file.head
        self._heads.append(file.head)

    def age(self, file: TrackedFile) -> Age:
        """Return where a file comes in the order of rotated ones."""
        return self._names.age(Path(file.path).name, file.modified_ns)

    def missed(self, open_files: Collection[TrackedFile]) -> RotatedFile:
        """Return the files that have come since the last look, and are none of those that are held, nor copies."""
        rotated = self._rotated()
        known = {file.identity: file for file in open_files}
        for each in rotated:
            if each.identity in known:
                known[each.identity].path = each.path
        is_open = {
            file.identity for file in open_files if file.descriptor >= 0
        }  # the number of another may be given anew
        found = self._open(
            [each for each in rotated if each.identity not in is_open], [file.head for file in open_files]
        )
        there = {each.identity for each in rotated}
        self._known = {identity: head for identity, head in self._known.items() if identity in there}
        return found

    def since(self, age: Age, open_files: Collection[TrackedFile]) -> RotatedFile:
        """Return the files that are no older than `age`, and are none of those that are held, nor copies."""
        known = {file.identity for file in open_files}
        newer = [each for each in self._rotated() if each.age >= age and each.identity not in known]
        return self._open(newer, [file.head for file in open_files])

    def copy_of(self, file: TrackedFile) -> TrackedFile | None:
        """Return the newest file that holds a copy of what another one held."""
        for each in reversed(self._rotated()):
            if each.identity != file.identity and not is_compressed(each.path):
                copy = _opened(each.path)
                if copy is not None and are_alike(copy.head, file.head):
                    return copy
                if copy is not None:
                    copy.close()
        return None

    def find(self, position: Position) -> TrackedFile | None:
        """Return the file of a position, whatever its name is now; or a copy of it, under the name of a rotated one."""
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
                continue  # it is being compressed, or is gone by now
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
    """Return whether an entry of a folder is the file of a position; a link that leads nowhere is not."""
    with suppress(OSError):
        status = entry.stat()
        return (status.st_dev, status.st_ino) == (position.device, position.inode)
    return False


def _opened(path: str) -> TrackedFile | None:
    with suppress(CannotOpen):
        return TrackedFile.open(path)
    return None


def _opened_at(path: str, position: Position) -> TrackedFile | None:
    """Open a file if it holds what comes before a position, and a line begins there."""
    file = _opened(path)
    if file is None:
        return None
    if file.is_at(position):
        file.offset = position.offset
        if file.begins_line():
            return file
    file.close()
    return None
