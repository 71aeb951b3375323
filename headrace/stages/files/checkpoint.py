"""A small file that says how far another one has been gone through; it is whole at any time."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from headrace.stages.errors import CannotOpen
from headrace.stages.files.progress import BEGINNING, Position


class Checkpoint:
    """Reads and writes a position, at `path`. Its methods block, and raise `CannotOpen`."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def load(self) -> Position:
        """Return the position; the beginning where none was written yet, which is then written."""
        try:
            told = json.loads(self._path.read_bytes())
            return _position(told)
        except FileNotFoundError:
            self.save(BEGINNING)  # so that a folder which is not there, or may not be written, is told at once
            return BEGINNING
        except OSError as error:
            why = f"cannot be read as a checkpoint ({error.strerror})"
        except (ValueError, TypeError, KeyError):
            why = "is no checkpoint"
        raise CannotOpen(str(self._path), why, "name another file in `checkpoint`, or remove it to begin anew")

    def save(self, position: Position) -> None:
        """Put the position in the place of the one before, durably."""
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            with beside.open("w") as file:
                file.write(json.dumps(asdict(position)))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            why = f"cannot be written as a checkpoint ({error.strerror})"
            raise CannotOpen(str(self._path), why, "mend it, or name another file in `checkpoint`") from None


def _position(told: Mapping[str, object]) -> Position:
    """Return what a checkpoint says; an older one does not say how the file began."""
    device, inode, offset = (int(str(told[name])) for name in ("device", "inode", "offset"))
    if "head_digest" not in told:
        return Position(device, inode, offset)
    modified_ns, head_bytes = (int(str(told[name])) for name in ("modified_ns", "head_bytes"))
    return Position(device, inode, offset, modified_ns, head_bytes, str(told["head_digest"]))
