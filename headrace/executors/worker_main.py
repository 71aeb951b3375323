"""The program of a worker process: reads calls from its pipe, and writes their outcomes.

It runs as a script and imports nothing of headrace, and other modules only when a function needs them: so it starts
quickly. The executor imports the format of the frames from here.
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
"""The header of each frame: the kind of the payload, and its length in bytes."""

CALL: Final = b"c"  # to the child: function, args and kwargs
READY: Final = b"r"  # from the child: all imports are done
NOT_READY: Final = b"n"  # an import failed, and the child ends
RESULT: Final = b"v"  # the result of the call
ERROR: Final = b"e"  # class name, message, traceback text, and the error itself if it can be pickled
UNREACHABLE: Final = b"u"  # why the call could not be loaded
UNGUARDED: Final = b"g"  # the call needs the main script, which would start OS processes when it is loaded
UNPICKLABLE: Final = b"p"  # why the result cannot be pickled
TOO_LARGE: Final = b"l"  # the length of the result

TEXT_LIMIT: Final = 100_000
"""The number of characters of a message or a traceback that are sent at most."""

PROGRAM: Final = "headrace.executors.worker_main"
"""The name of this file as a module: names of it need no import here."""

MAIN: Final = "__mp_main__"
"""The name of the main script here, as in multiprocessing: not `__main__`, so that its guard holds."""

IS_LOADING_MAIN = False
"""Whether the main script is being imported; it must not start OS processes meanwhile."""

IS_MAIN_UNGUARDED = False
"""Whether the main script tried to start OS processes all the same; set by the executor that refused."""


class Settings(NamedTuple):
    """The payload of the first frame. It is sent as a plain tuple, so that this class is never pickled.

    It is no dataclass, since that import would take a third of the start time.
    """

    sys_path: list[str]
    argv: list[str]
    main: tuple[str, str] | None
    imports: tuple[str, ...]
    max_result_bytes: int


class Terminated(SystemExit):
    """Raised when the executor ends the running call; `finally` blocks run."""


class Termination:
    """The handler of SIGTERM: raises Terminated once, and remembers that, because a function may swallow the exception.

    The executor shuts its side of the pipe before it sends the signal. Another sender (a service manager sends SIGTERM
    to all OS processes of a service) does not, and its signal is ignored: the executor decides which calls still run.
    """

    def __init__(self, pipe: int) -> None:
        self.is_asked = False
        self._pipe = pipe

    def __call__(self, number: int, frame: object) -> None:
        """Handle the first signal; cleaning up is not interrupted again."""
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
    """End this OS process when its parent has ended, even if the parent was killed or a function is in a busy loop."""
    if not _is_tied():
        die_with_pipe(pipe)
    if os.getppid() != parent:
        os._exit(1)


def _is_tied() -> bool:
    """Let the system kill this OS process when its parent ends, and return whether it will."""
    if sys.platform != "linux":
        return False
    try:
        import ctypes  # noqa: PLC0415 - takes a millisecond, and some Pythons lack it

        return bool(ctypes.CDLL(None).prctl(1, signal.SIGKILL) == 0)  # PR_SET_PDEATHSIG
    except (ImportError, OSError, AttributeError):
        return False


def die_with_pipe(pipe: int) -> None:
    """Start a thread that ends this OS process when the other end of the pipe is closed, if the system cannot."""
    import _thread  # noqa: PLC0415 - only some systems need it

    def watch() -> None:
        watched = select.poll()
        watched.register(pipe, 0)  # only the hang-up
        watched.poll()
        os._exit(1)

    _thread.start_new_thread(watch, ())


class MainModule:
    """The main script of the parent, imported when one of its functions or classes is first needed."""

    def __init__(self, source: tuple[str, str] | None) -> None:
        """`source` is ("module", name) or ("path", path); None when the script cannot be imported."""
        self._source = source
        self._failure = ""
        self._is_loaded = False

    def load(self) -> None:
        """Import the script once. Raises ImportError with the reason when that fails."""
        if not self._is_loaded:
            if not self._failure:
                self._load()
            if self._failure:
                raise ImportError(self._failure)

    def _load(self) -> None:
        if self._source is None:
            self._failure = "__main__ is no file, as with python -c or in a notebook, so nothing else can load it"
            return
        global IS_LOADING_MAIN  # noqa: PLW0603 - read by executors that the script makes
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
    """Finds names of the main script, whose module has another name in the parent than here."""

    def __init__(self, payload: bytes, main: MainModule | None) -> None:
        """`main` is the main script, imported when needed; None in the parent."""
        super().__init__(io.BytesIO(payload))
        self._main = main

    def find_class(self, module_name: str, global_name: str) -> object:
        """Return the object of that name. Names of this program and of the main script are found without an import."""
        if module_name == PROGRAM:
            return globals()[global_name]
        if module_name == "__main__" and self._main is not None:
            self._main.load()
        if module_name == MAIN and self._main is None:
            module_name = "__main__"
        return super().find_class(module_name, global_name)


class WorkerMain:
    """Runs calls one after another, until the pipe is closed."""

    def __init__(self, pipe: int, termination: Termination) -> None:
        self._pipe = pipe
        self._termination = termination
        self._reader: BinaryIO = open(pipe, "rb", closefd=False)  # noqa: SIM115 - a file number, open until the end
        self._settings = Settings(*pickle.loads(self._read()[1]))  # noqa: S301 - written by our own parent
        self._main = MainModule(self._settings.main)

    def serve(self) -> None:
        """Import the modules of the settings, then run calls."""
        sys.path[:] = self._settings.sys_path
        sys.argv[:] = self._settings.argv
        try:
            for name in self._settings.imports:
                __import__(name)
        except Exception as error:  # noqa: BLE001 - the executor passes it on to its caller
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
        except BaseException as error:  # noqa: BLE001 - the error is sent back, and this OS process goes on
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
        """Return the next frame; its kind is empty at the end of the pipe."""
        head = self._reader.read(HEADER.size)
        if len(head) < HEADER.size:
            return b"", b""
        kind, length = HEADER.unpack(head)
        return kind, self._reader.read(length)

    def _write(self, kind: bytes, payload: bytes) -> None:
        """Write a frame, in one system call if it fits."""
        header = HEADER.pack(kind, len(payload))
        written = os.writev(self._pipe, [header, payload]) - len(header)
        rest = memoryview(payload)[max(0, written) :]
        while rest:
            rest = rest[os.write(self._pipe, rest) :]


def run_each(function: Callable[[object], object], events: Sequence[object]) -> list[tuple[object, bytes | None]]:
    """Return for each event the result of the function, and its packed error or None.

    Async functions share one event loop, and run one after another.
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
            except Exception as error:  # noqa: BLE001 - the error fails this event alone
                made.append((None, packed_error(error)))
    return made


def packed_error(error: BaseException, limit_bytes: int | None = None) -> bytes:
    """Return an error as bytes: with the pickled error itself, if that works and takes at most `limit_bytes`."""
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
    """Return the result of an awaitable, run in an event loop of its own."""
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
    except Exception:  # noqa: BLE001 - the error's __str__ is user code
        return "<its message cannot be shown>"


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {_message(error)}"


def _flush() -> None:
    """Write the output of a function: a later kill would lose it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


def main() -> None:
    """Serve the pipe named on the command line, for the parent named there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe, parent = int(sys.argv[1]), int(sys.argv[2])
    termination = Termination(pipe)
    signal.signal(signal.SIGTERM, termination)
    os.set_inheritable(pipe, False)
    die_with_parent(parent, pipe)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError):  # the parent has ended
        WorkerMain(pipe, termination).serve()


if __name__ == "__main__":
    main()
