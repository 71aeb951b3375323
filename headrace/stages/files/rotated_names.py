"""Names of rotated files: which files of a folder were once called `app.log`, and which of them is older."""

import re
from pathlib import Path
from typing import Final

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
        endings = "|".join(map(re.escape, COMPRESSED))
        names = rf"{re.escape(name)}[._-]?(?P<after>{_NUMBER_OR_DATE})"
        if extension:
            names += rf"|{re.escape(stem)}[._-](?P<within>{_DATE}){re.escape(extension)}"
        self._pattern = re.compile(rf"(?:{names})(?P<ending>{endings})?")

    def match(self, name: str) -> bool:
        """Tell whether a file of this name may be an older one, compressed or not."""
        return self._pattern.fullmatch(name) is not None

    def age(self, name: str, modified_ns: int) -> Age:
        """Return where a file comes in order: by its last change, and where that is the same by its name."""
        found = self._pattern.fullmatch(name)
        mark = "" if found is None else found["after"] or found.groupdict().get("within") or ""
        if mark.isdecimal() and len(mark) <= LONGEST_NUMBER:
            return modified_ns, -int(mark), ""
        return modified_ns, 0, mark


def is_compressed(name: str) -> bool:
    """Tell whether a rotation has compressed the file of this name."""
    return name.endswith(COMPRESSED)
