"""An application of the peer, as its users write one: `huey_consumer benchmarks.jobs_peer_app.huey` runs it."""

import os
import time
from pathlib import Path
from typing import Final

from huey import SqliteHuey

FOLDER: Final = Path(os.environ["PEER_FOLDER"])
TOTAL: Final = int(os.environ["PEER_TOTAL"])

STARTED: Final = "started"
ENDED: Final = "ended"
"""Files with the time when the worker began, and the time when it had run the last task."""

huey = SqliteHuey(filename=str(FOLDER / "peer.db"))
_numbers: list[int] = []


def _tell(name: str, text: str) -> None:
    """Write the file in one step, so that a reader never sees a part of it."""
    (FOLDER / f"{name}.new").write_text(text)
    (FOLDER / f"{name}.new").rename(FOLDER / name)


@huey.on_startup()  # type: ignore[untyped-decorator] # huey has no types
def started() -> None:
    """Store the time when the worker begins."""
    _tell(STARTED, str(time.monotonic()))


@huey.task()  # type: ignore[untyped-decorator] # as above
def noop(number: int) -> None:
    """Store the number: a task that does almost nothing."""
    _numbers.append(number)
    if len(_numbers) == TOTAL:
        _tell(ENDED, f"{time.monotonic()} {len(set(_numbers))}")


def fill() -> None:
    """Enqueue all tasks."""
    for number in range(TOTAL):
        noop(number)
