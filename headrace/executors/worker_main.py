"""The program of an OS process that runs functions: reads calls from its pipe, and writes how each ended.

It is started as a script and imports nothing of headrace, nor anything else before a function needs it: that is what
makes it start quickly. The executor reads from here how the two talk.
"""

import contextlib
import io
import os
import pickle
import select
import signal
import struct
import sys
import types
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, cast

if TYPE_CHECKING:
    import asyncio

HEADER: Final = struct.Struct("!cQ")
"""Before each payload: its kind, and its length in bytes."""

CALL: Final = b"c"  # to the child: function, args and kwargs
READY: Final = b"r"  # from the child: it has imported what it should
NOT_READY: Final = b"n"  # it could not, and ends
RESULT: Final = b"v"  # the result of the call
ERROR: Final = b"e"  # class name, message, traceback text, and the error itself if it can be pickled
UNREACHABLE: Final = b"u"  # why the call could not be loaded
UNGUARDED: Final = b"g"  # the call needs the main script, which would start OS processes when it is loaded
UNPICKLABLE: Final = b"p"  # why the result cannot be pickled
TOO_LARGE: Final = b"l"  # the length of the result

TEXT_LIMIT: Final = 100_000
"""Characters of a message or a traceback that are told at most."""

PROGRAM: Final = "headrace.executors.worker_main"
"""What this file is called where it is a module: its functions are here, and need no import."""

MAIN: Final = "__mp_main__"
"""What the main script is called here, as multiprocessing calls it: not `__main__`, so that its guard holds."""

IS_LOADING_MAIN = False
"""Whether the main script is just being loaded; it must not start OS processes then."""

IS_MAIN_UNGUARDED = False
"""Whether it tried to, all the same: set by the executor that refused."""


class Settings(NamedTuple):
    """What the first frame tells the child, as a plain tuple: the class itself never crosses.

    No dataclass, for the import of that alone would take a third of the start.
    """

    sys_path: list[str]
    argv: list[str]
    main: tuple[str, str] | None
    imports: tuple[str, ...]
    max_result_bytes: int


class Terminated(SystemExit):
    """The executor ends the running call; its `finally` blocks run."""


class Termination:
    """The handler of SIGTERM: raises Terminated once, and remembers it, for a function may swallow that.

    The executor shuts its side of the pipe before it sends the signal. One that comes without that is from elsewhere
    (a service manager sends it to every OS process of a service) and not for us: the executor decides what still runs.
    """

    def __init__(self, pipe: int) -> None:
        self.is_asked = False
        self._pipe = pipe

    def __call__(self, number: int, frame: object) -> None:
        """Handle the signal once; cleaning up is not interrupted again."""
        if not self.is_asked and self._is_pipe_shut():
            self.is_asked = True
            raise Terminated(128 + number)

    def _is_pipe_shut(self) -> bool:
        if not hasattr(select, "POLLRDHUP"):
            return True
        watched = select.poll()
        watched.register(self._pipe, select.POLLRDHUP)
        return bool(watched.poll(0))


def die_with_parent(parent: int, pipe: int) -> None:
    """End this OS process when the one that started it is gone, even if that was killed, and even in a busy loop."""
    if not _is_tied():
        die_with_pipe(pipe)
    if os.getppid() != parent:
        os._exit(1)


def _is_tied() -> bool:
    """Let the system kill this OS process when its parent ends, and return whether it will."""
    if sys.platform != "linux":
        return False
    try:
        import ctypes  # noqa: PLC0415 - a millisecond that the others need not spend, and some Pythons lack it

        return bool(ctypes.CDLL(None).prctl(1, signal.SIGKILL) == 0)  # PR_SET_PDEATHSIG
    except (ImportError, OSError, AttributeError):
        return False


def die_with_pipe(pipe: int) -> None:
    """Start a thread that ends this OS process when the other end of the pipe is closed: for where nothing else can."""
    import _thread  # noqa: PLC0415 - only some systems need it

    def watch() -> None:
        watched = select.poll()
        watched.register(pipe, 0)  # nothing but the hang-up
        watched.poll()
        os._exit(1)

    _thread.start_new_thread(watch, ())


class MainModule:
    """The main script of the executor's OS process, loaded when a function or a class of it is first asked for."""

    def __init__(self, source: tuple[str, str] | None) -> None:
        """`source` is how to load it: ("module", name) or ("path", path); None when it cannot be."""
        self._source = source
        self._failure = ""
        self._is_loaded = False

    def load(self) -> None:
        """Load it, once; raises ImportError with why it cannot be."""
        if not self._is_loaded:
            if not self._failure:
                self._load()
            if self._failure:
                raise ImportError(self._failure)

    def _load(self) -> None:
        if self._source is None:
            self._failure = "__main__ is no file, as with python -c or in a notebook, so nothing else can load it"
            return
        global IS_LOADING_MAIN  # noqa: PLW0603 - it tells executors that the script makes
        IS_LOADING_MAIN = True
        try:
            names = self._names(*self._source)
        except Terminated:
            raise
        except BaseException as error:  # noqa: BLE001 - a script may raise anything, SystemExit too
            self._failure = f"the main script cannot be loaded: {_text(error)}"
        else:
            module = types.ModuleType(MAIN)
            module.__dict__.update(names)
            sys.modules["__main__"] = sys.modules[MAIN] = module
            self._is_loaded = True
        finally:
            IS_LOADING_MAIN = False

    @staticmethod
    def _names(kind: str, source: str) -> dict[str, object]:
        import runpy  # noqa: PLC0415 - only a function of the main script needs it

        if kind == "module":
            return runpy.run_module(source, run_name=MAIN, alter_sys=True)
        return runpy.run_path(source, run_name=MAIN)


class Unpickler(pickle.Unpickler):
    """Finds what the main script defines under the name that it has here or there."""

    def __init__(self, payload: bytes, main: MainModule | None) -> None:
        """`main` is loaded for names of the main script; None where that one runs."""
        super().__init__(io.BytesIO(payload))
        self._main = main

    def find_class(self, module_name: str, global_name: str) -> object:
        """Return the object of that name; the names of this program and of the main module are its own."""
        if module_name == PROGRAM:
            return globals()[global_name]
        if module_name == "__main__" and self._main is not None:
            self._main.load()
        if module_name == MAIN and self._main is None:
            module_name = "__main__"
        return super().find_class(module_name, global_name)


class WorkerMain:
    """Runs one call after the other, until the pipe ends."""

    def __init__(self, pipe: int, termination: Termination) -> None:
        self._pipe = pipe
        self._termination = termination
        self._reader: BinaryIO = open(pipe, "rb", closefd=False)  # noqa: SIM115 - it is a number, open till the end
        self._settings = Settings(*pickle.loads(self._read()[1]))  # noqa: S301 - our own parent wrote it
        self._main = MainModule(self._settings.main)

    def serve(self) -> None:
        """Import what is asked for, then run what comes."""
        sys.path[:] = self._settings.sys_path
        sys.argv[:] = self._settings.argv
        try:
            for name in self._settings.imports:
                __import__(name)
        except Exception as error:  # noqa: BLE001 - the executor says it to whoever calls
            self._write(NOT_READY, f"{name} cannot be imported: {_text(error)}".encode())
            return
        self._write(READY, b"")
        while not self._termination.is_asked and (frame := self._read())[0]:
            self._write(*self._answer(frame[1]))
            _flush()

    def _answer(self, payload: bytes) -> tuple[bytes, bytes]:
        try:
            function, args, kwargs = Unpickler(payload, self._main).load()
            if isinstance(function, str):
                function = self._found(function)
        except Terminated:
            raise
        except BaseException as error:  # noqa: BLE001 - importing a module may raise anything, SystemExit too
            return UNGUARDED if IS_MAIN_UNGUARDED else UNREACHABLE, _text(error).encode(errors="replace")
        try:
            result = function(*args, **kwargs)
            if hasattr(result, "__await__"):
                result = _awaited(result)
        except Terminated:
            raise
        except BaseException as error:  # noqa: BLE001 - it is told, and this OS process goes on
            return ERROR, packed_error(error, self._settings.max_result_bytes)
        return self._packed_result(result)

    def _packed_result(self, result: object) -> tuple[bytes, bytes]:
        try:
            payload = pickle.dumps(result, 5)
        except Terminated:
            raise
        except BaseException as error:  # noqa: BLE001 - a __reduce__ may raise anything
            return UNPICKLABLE, _text(error).encode(errors="replace")
        if len(payload) > self._settings.max_result_bytes:
            return TOO_LARGE, str(len(payload)).encode()
        return RESULT, payload

    def _found(self, name: str) -> Callable[..., object]:
        """Return the function that `module:qualname` names."""
        module_name, _, qualname = name.partition(":")
        if module_name == "__main__":
            self._main.load()
        __import__(module_name)
        found: object = sys.modules[module_name]
        for part in qualname.split("."):
            found = getattr(found, part)
        return cast("Callable[..., object]", found)

    def _read(self) -> tuple[bytes, bytes]:
        """Return the next frame; its kind is empty at the end."""
        head = self._reader.read(HEADER.size)
        if len(head) < HEADER.size:
            return b"", b""
        kind, length = HEADER.unpack(head)
        return kind, self._reader.read(length)

    def _write(self, kind: bytes, payload: bytes) -> None:
        """Write a frame, in one system call where it fits."""
        header = HEADER.pack(kind, len(payload))
        written = os.writev(self._pipe, [header, payload]) - len(header)
        rest = memoryview(payload)[max(0, written) :]
        while rest:
            rest = rest[os.write(self._pipe, rest) :]


def run_each(function: Callable[[object], object], events: Sequence[object]) -> list[tuple[object, bytes | None]]:
    """Return what the function makes of each event, or what it raises, packed: that concerns the event alone.

    Events of an async function share an event loop, one after another.
    """
    made: list[tuple[object, bytes | None]] = []
    with contextlib.ExitStack() as stack:
        runner: asyncio.Runner | None = None
        for event in events:
            try:
                result = function(event)
                if hasattr(result, "__await__"):
                    runner = runner or stack.enter_context(_runner())
                    result = runner.run(_wait(result))
                made.append((result, None))
            except Exception as error:  # noqa: BLE001 - it fails this event alone
                made.append((None, packed_error(error)))
    return made


def packed_error(error: BaseException, limit_bytes: int | None = None) -> bytes:
    """Return what is reported of an error; the error itself where it can be pickled, in at most `limit_bytes`."""
    import traceback  # noqa: PLC0415 - only a failure needs it

    text = "".join(traceback.format_exception(error))[-TEXT_LIMIT:]
    pickled = None
    if isinstance(error, Exception):
        with contextlib.suppress(Exception):
            pickled = pickle.dumps(error, 5)
    if pickled is not None and limit_bytes is not None and len(pickled) > limit_bytes:
        pickled = None
    return pickle.dumps((type(error).__qualname__, _message(error), text, pickled), 5)


def _awaited(result: object) -> object:
    """Return what an awaitable gives, in an event loop of its own that ends with it."""
    with _runner() as runner:
        return runner.run(_wait(result))


def _runner() -> "asyncio.Runner":
    import asyncio  # noqa: PLC0415 - only an async function needs it

    return asyncio.Runner()


async def _wait(result: object) -> object:
    return await result  # type: ignore[misc] # it has an __await__


def _message(error: BaseException) -> str:
    try:
        return str(error)[:TEXT_LIMIT]
    except Exception:  # noqa: BLE001 - its __str__ is the user's
        return "<its message cannot be shown>"


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {_message(error)}"


def _flush() -> None:
    """Show what a function printed: whoever is killed later would lose it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


def main() -> None:
    """Serve the pipe that the command line names, for the parent that it names."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe, parent = int(sys.argv[1]), int(sys.argv[2])
    termination = Termination(pipe)
    signal.signal(signal.SIGTERM, termination)
    os.set_inheritable(pipe, False)
    die_with_parent(parent, pipe)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError):  # whoever would read it is gone
        WorkerMain(pipe, termination).serve()


if __name__ == "__main__":
    main()
