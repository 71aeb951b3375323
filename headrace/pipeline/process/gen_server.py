"""GenServer: a plain class whose methods are its messages, one at a time."""

from typing import TypeVar

from headrace.pipeline.process.process import Process

S = TypeVar("S")


class GenServer:
    """The base of a server: any method may be called or cast through its `Ref`, and runs when its turn has come.

    Callbacks that are looked for: `init()`, `handle_info(message)`, `terminate(reason)`; each `def` or `async def`. An
    exception in any of them, or in a method, ends the process with it, and its supervisor decides what follows.
    """


class GenServerProcess(Process[S]):
    """The process around a server: it does nothing but its mail."""

    __slots__ = ()
