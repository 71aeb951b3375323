"""The peer for jobs: huey on SQLite, as it comes, run by the consumer that comes with it."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.measure import all_arrived

CONSUMER: Final = (sys.executable, "-m", "huey.bin.huey_consumer", "benchmarks.jobs_peer_app.huey")
"""Its command, with no option: one worker thread, a scheduler, a log of what it runs.

More threads or OS processes make it no quicker here, for each task is a transaction of its own on the one file.
"""


def worked_off(folder: Path, total: int, *options: str) -> float:
    """Return the seconds that huey's consumer takes for `total` no-op tasks that wait, once it has started.

    Nothing of it is tuned: it commits each task by itself and, as SQLite does unless told otherwise, waits for the disk
    each time (what we call `full`; ours waits for what it inserts, and runs again what a power cut made it forget). It
    takes a task out of its table before it runs it, and keeps nothing of a task that returns None. Its log goes to a
    file; `options` such as `-q`, for no lines about tasks, are added to its command.
    """
    environment = {**os.environ, "PEER_FOLDER": str(folder), "PEER_TOTAL": str(total)}
    fill = (sys.executable, "-c", "from benchmarks.jobs_peer_app import fill; fill()")
    subprocess.run(fill, env=environment, check=True)  # noqa: S603 - our own command
    command = (*CONSUMER, "--logfile", str(folder / "log"), *options)
    with subprocess.Popen(command, env=environment) as consumer:  # noqa: S603 - as above
        try:
            ended, distinct = _told(consumer, folder / "ended").split()
        finally:
            consumer.terminate()
    started = _told(consumer, folder / "started")
    all_arrived(int(distinct), total)
    return float(ended) - float(started)


def _told(consumer: "subprocess.Popen[bytes]", path: Path) -> str:
    """Return what a file says, once it is there."""
    while not path.exists():
        all_arrived(consumer.poll(), None)
        time.sleep(0.01)
    return path.read_text()
