"""The peer for jobs: huey on SQLite, run by its own consumer with default settings."""

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
    """Return the seconds that huey's consumer takes for `total` waiting no-op tasks, without its start.

    Its settings are the defaults. It commits each task by itself and waits for the disk each time, which is SQLite's
    setting `full`. With `full`, headrace waits for the disk at inserts, and runs a job again if a power cut lost its
    end. huey removes a task from its table before it runs it, and stores no result of a task that returns None. Its log
    goes to a file. `options` such as `-q`, which logs no tasks, are added to its command.
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
    """Return the content of a file when it exists."""
    while not path.exists():
        all_arrived(consumer.poll(), None)
        time.sleep(0.01)
    return path.read_text()
