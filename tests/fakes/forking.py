"""Runs a function in a forked child of the test's own OS process."""

import os
import signal
import warnings
from collections.abc import Callable

CHILD_SECONDS = 10


def in_fork(call: Callable[[], object]) -> str:
    """Fork, call the function in the child, and return what it returned or raised, as text; "" where it hung."""
    theirs, ours = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on Python warns of a fork beside threads
        pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(CHILD_SECONDS)
        try:
            text = str(call())
        except BaseException as error:  # noqa: BLE001 - it is the child's answer
            text = f"{type(error).__name__}: {error}"
        os.write(ours, text.encode())
        os._exit(0)
    os.close(ours)
    with os.fdopen(theirs, encoding="utf-8") as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text
