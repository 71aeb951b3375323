"""A worker for an OS process of its own: its folder is put on the path, since that process knows no test's package."""

import os
import time

from headrace.jobs.running_job import current_job
from headrace.jobs.worker import worker


@worker(record=True, executor="subprocess", max_attempts=1)
def elsewhere(what: str) -> int:
    """Do something that is no good idea in the test's own process."""
    current_job().progress(1.0, what)
    if what == "die":
        os._exit(7)
    if what == "raise":
        raise KeyError(what)
    while what == "hang":
        time.sleep(60)
    return os.getpid()
