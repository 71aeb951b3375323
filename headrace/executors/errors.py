"""The errors of executors, a branch of the tree in `headrace.errors`.

::

    HeadraceError
    └── ExecutorError             a function that runs in a thread or an OS process
        ├── BadPoolSize           an executor that could run nothing
        ├── BadFunction           a function that an executor cannot run
        ├── ExecutorClosed        the executor is closed
        ├── CallOverdue           the function did not return in time
        ├── CallStopped           the call was ended before the function returned
        ├── RemoteError           the function raised an error that cannot be raised here
        └── ForeignError          errors of functions in other OS processes only
            ├── WorkerDied        the OS process ended while it ran the function
            ├── WorkerNotStarted  an OS process could not be started, or an import failed there
            ├── NotReachable      the OS process cannot find the function or unpickle its arguments
            ├── Unpicklable       the function, an argument or the result cannot be pickled
            ├── ResultTooLarge    the result is larger than the executor allows
            └── UnguardedMain     the main script would start itself again in each OS process
"""

import re
from typing import Final

from headrace.errors import HeadraceError


class ExecutorError(HeadraceError):
    """A function that runs in a thread or an OS process failed, or could not run."""


class BadPoolSize(ExecutorError):
    """The limit of an executor is below 1."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"an executor with the limit {limit} could run nothing: set 1 or more")


class BadFunction(ExecutorError):
    """An executor got a function that it cannot run."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        super().__init__(f"{name!r} {why}")


class ExecutorClosed(ExecutorError):
    """The executor is closed, or was closed before the function could begin or return."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name!r} did not finish, since its executor is closed: run it before, or make another executor"
        )


class CallOverdue(ExecutorError, TimeoutError):
    """The function did not return in time.

    An OS process has been ended by now. A thread cannot be ended: it goes on and keeps its slot, and `Call.ended` waits
    for its outcome.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        super().__init__(f"{name!r} did not return within {seconds:g} s: give it longer with executor.within(seconds)")


class CallStopped(ExecutorError):
    """The call was ended on purpose before the function returned."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name!r} was stopped before it returned: run it again if its result is still wanted")


_LINES: Final = re.compile(r'^ *File "(.+)", line (\d+)', re.MULTILINE)
"""The file and line of each call in a traceback."""


class RemoteError(ExecutorError):
    """The function raised an error that cannot be raised here.

    Its class cannot be imported or pickled, or it would end more than the call: SystemExit, KeyboardInterrupt,
    CancelledError. `traceback_text` is the traceback as Python prints it.
    """

    def __init__(self, name: str, class_name: str, message: str, traceback_text: str) -> None:
        self.name = name
        self.class_name = class_name
        self.message = message
        self.traceback_text = traceback_text
        text = f"{class_name}: {message}" if message else class_name
        found = _LINES.findall(traceback_text)
        where = " ({}, line {})".format(*found[-1]) if found else ""
        super().__init__(f"{name!r} raised {text}{where}, which cannot be raised here: let it raise another error")


class ForeignError(ExecutorError):
    """The base of errors that only functions in other OS processes have."""


class WorkerDied(ForeignError):
    """The OS process ended while it ran the function. A negative `exit_code` is the number of a signal."""

    def __init__(self, name: str, exit_code: int, pid: int) -> None:
        self.name = name
        self.exit_code = exit_code
        self.pid = pid
        self.how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
        super().__init__(
            f"OS process {pid} ended with {self.how} while it ran {name!r}: run it again only if it may run twice, "
            "and look for a crash, os._exit or too little memory"
        )


class WorkerNotStarted(ForeignError):
    """An OS process could not be started, or an import failed there."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"no OS process could be started to run functions ({why}): fix the cause, then call again")


class NotReachable(ForeignError):
    """The OS process cannot find the function, or the class of an argument, or cannot unpickle it."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why
        super().__init__(
            f"an OS process could not load {name!r} and its arguments ({why}): "
            "define them at the top of a module that it can import"
        )


class Unpicklable(ForeignError):
    """The function, an argument or the result cannot be pickled, or a result cannot be unpickled."""

    def __init__(self, name: str, what: str, why: str) -> None:
        self.name = name
        self.what = what
        self.why = why
        super().__init__(
            f"{what} of {name!r} cannot be sent to another OS process ({why}): "
            "use plain data, and functions and classes from the top of a module"
        )


class ResultTooLarge(ForeignError):
    """The result, pickled, is larger than the executor allows."""

    def __init__(self, name: str, size_bytes: int, limit_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(
            f"the result of {name!r} has {size_bytes} bytes, and {limit_bytes} are allowed: "
            "return less, write it to a file, or raise max_result_bytes"
        )


class UnguardedMain(ForeignError):
    """The main script, imported in another OS process for one of its functions or classes, would start itself there."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"another OS process cannot load the main script for {name!r}, since the script would start OS processes "
            "there too: put what it runs under `if __name__ == '__main__':`, or its functions in a module of their own"
        )
