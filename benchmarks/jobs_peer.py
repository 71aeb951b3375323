"""The peer for jobs: huey on SQLite, as it comes."""

import logging
import threading
import time
from pathlib import Path

from huey import SqliteHuey

from benchmarks.measure import all_arrived


def worked_off(path: Path, total: int) -> float:
    """Return the seconds that one worker thread of huey's consumer takes for `total` no-op tasks that wait.

    It commits each task by itself and, unless told otherwise, waits for the disk each time (`full`).
    """
    logging.getLogger("huey").setLevel(logging.WARNING)
    done, is_all = 0, threading.Event()
    queue = SqliteHuey(filename=str(path), results=False)

    def noop(number: int) -> None:  # noqa: ARG001 - as the jobs of the others have it
        nonlocal done
        done += 1
        if done == total:
            is_all.set()

    task = queue.task()(noop)
    for number in range(total):
        task(number)
    consumer = queue.create_consumer()
    start = time.perf_counter()
    consumer.start()
    is_all.wait()
    seconds = time.perf_counter() - start
    consumer.stop(graceful=True)
    all_arrived((done, len(queue)), (total, 0))
    return seconds
