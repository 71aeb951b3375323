"""GenServer: a plain class whose methods are its messages, one at a time."""

from typing import Self, TypeVar, cast

from headrace.ground.errors import NotStarted
from headrace.pipeline.process.process import ExitReason, Process
from headrace.pipeline.process.ref import Ref

S = TypeVar("S")


class GenServer:
    """The base of a server: any method may be called or cast through its `Ref`, and runs when its turn has come.

    Callbacks that are looked for: `init()`, `handle_info(message)`, `terminate(reason)`; each `def` or `async def`. An
    exception in any of them, or in a method, ends the process with it, and its supervisor decides what follows.

    The words below are valid from `init` to `terminate`, and raise `NotStarted` before and after.
    """

    _process: Process[object] | None = None

    @property
    def ref(self) -> Ref[Self]:
        """The reference of this process, which survives restarts: give it to others."""
        return Ref(cast("Process[Self]", _process_of(self, "ref")))

    def stop(self, reason: ExitReason = "normal") -> None:
        """End when the running callback has returned, and its reply is given; in `init`, fail to start.

        The supervisor decides what follows: a permanent child is started again whatever the reason, a transient one
        unless it is "normal" or "shutdown" (OTP's rules).
        """
        _process_of(self, "stop()").stop_after_callback(reason)


def _process_of(server: GenServer, word: str) -> Process[object]:
    process = server._process  # noqa: SLF001 - this is what stands behind the class
    if process is None or process.callbacks is not server:
        raise NotStarted(server, word)
    return process


class GenServerProcess(Process[S]):
    """The process around a server: it does nothing but its mail."""

    __slots__ = ()

    def bound(self, callbacks: S) -> None:
        """Hand a new server its words."""
        if isinstance(callbacks, GenServer):
            callbacks._process = cast("Process[object]", self)  # noqa: SLF001 - the runtime stands behind the class
