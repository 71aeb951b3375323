"""`WorkerProcess`: one OS process seen from its parent, and the pipe to it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from headrace.executors import worker_main as child
from headrace.executors.call import Call, Raised, Returned
from headrace.executors.errors import CallStopped, ExecutorError, WorkerDied, WorkerNotStarted
from headrace.executors.protocol import packed_settings, unpacked
from headrace.executors.worker_main import HEADER

READ_BYTES: Final = 1 << 18
"""The bytes read at a time: about a socket's buffer, so that a large result does not block the loop."""


class Pipe:
    """Sends frames without waiting, and calls back for each received frame, in order."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        end: socket.socket,
        received: Callable[[bytes, bytes], None],
        lost: Callable[[], None],
    ) -> None:
        """`received` gets the kind and payload of a frame; `lost` is called once, when the other end is closed."""
        self._loop = loop
        self._end = end
        self._received = received
        self._lost = lost
        self._unsent: deque[memoryview] = deque()
        self._unread = bytearray()
        self._is_open = True
        end.setblocking(False)
        loop.add_reader(end.fileno(), self._read)

    def send(self, frame: bytes) -> None:
        """Send a frame, now or as soon as there is room. A frame to a dead OS process is dropped."""
        if not self._is_open:
            return
        rest = memoryview(frame)
        if not self._unsent:
            rest = self._sent(rest)
        if rest:
            self._unsent.append(rest)
            self._loop.add_writer(self._end.fileno(), self._write)

    def drain(self) -> None:
        """Read everything that was sent before the other end died."""
        while self._is_open and self._read():
            pass

    def shut(self) -> None:
        """Send no more, and let the other end notice; its frames are still read."""
        self._unsent.clear()
        if self._is_open:
            self._loop.remove_writer(self._end.fileno())
            with suppress(OSError):  # the other end is dead, and reading will notice
                self._end.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close our end; unsent frames are dropped."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._end.fileno())
            self._loop.remove_writer(self._end.fileno())
            self._end.close()
            self._unsent.clear()

    def _sent(self, rest: memoryview) -> memoryview:
        """Send as much as the socket takes, and return the rest."""
        try:
            return rest[self._end.send(rest) :]
        except (BlockingIOError, InterruptedError):
            return rest
        except OSError:  # the other end is dead, and reading will notice
            return rest[len(rest) :]

    def _write(self) -> None:
        while self._unsent:
            rest = self._sent(self._unsent[0])
            if rest:
                self._unsent[0] = rest
                return
            self._unsent.popleft()
        self._loop.remove_writer(self._end.fileno())

    def _read(self) -> bool:
        """Read once, and return whether there may be more."""
        try:
            chunk = self._end.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:  # the other end died before it read everything
            chunk = b""
        if not chunk:
            self.close()
            self._lost()
            return False
        self._unread += chunk
        self._read_frames()
        return True

    def _read_frames(self) -> None:
        while self._is_open and len(self._unread) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._unread)
            end = HEADER.size + length
            if len(self._unread) < end:
                return
            payload = bytes(memoryview(self._unread)[HEADER.size : end])
            del self._unread[:end]
            self._received(kind, payload)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Settings of the OS processes of an executor.

    `imports`: modules that are imported at the start. `grace_seconds`: the time between terminating and killing an OS
    process. `idle_seconds`: an OS process that has been idle for that long is ended; None keeps it. `max_result_bytes`:
    the limit for a pickled result.
    """

    imports: tuple[str, ...] = ()
    grace_seconds: float = 2.0
    idle_seconds: float | None = None
    max_result_bytes: int = 64 * 1024 * 1024


class WorkerOwner(Protocol):
    """The owner of a worker process; its methods are called on the owner's loop."""

    def replied(self, worker: "WorkerProcess", call: Call[object], outcome: Returned[object] | Raised) -> None:
        """Handle the outcome of a call; the worker is free for another, unless it `is_stopping`."""

    def ended(self, worker: "WorkerProcess", call: Call[object] | None, error: ExecutorError) -> None:
        """Handle the end of the OS process; `error` is the error of the call that it ran."""


class WorkerProcess:
    """Starts an OS process, gives it calls, and reports its end once. It never waits.

    A thread starts the OS process and waits for its end: starting one takes milliseconds, and the system may tie its
    life to the thread that started it.
    """

    def __init__(self, settings: WorkerSettings, owner: WorkerOwner) -> None:
        self.call: Call[object] | None = None
        self.has_slot = False
        self.idle_since = 0.0
        self.is_counted_dead = False
        self.is_stopping = False
        self._was_asked_to_stop = False
        self._is_ready = False
        self._settings = settings
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._signal: signal.Signals | None = None
        self._kill_timer: asyncio.TimerHandle | None = None
        self._failure: str | None = None
        ours, theirs = socket.socketpair()
        self._pipe = Pipe(self._loop, ours, self._received, self._lost)
        self._pipe.send(packed_settings(settings.imports, settings.max_result_bytes))
        keeper = threading.Thread(target=self._keep, args=(theirs,), name="headrace-worker-keeper", daemon=True)
        try:
            keeper.start()
        except BaseException:
            self._pipe.close()
            theirs.close()
            raise

    @property
    def has_exited(self) -> bool:
        """Whether the OS process has ended, even before the event loop knows it."""
        if self._process is None or not hasattr(os, "waitid"):
            return False
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # other code has reaped it
            return True

    @property
    def has_died(self) -> bool:
        """Whether the OS process has ended unasked, or is about to."""
        return self.is_stopping and not self._was_asked_to_stop

    def give(self, call: Call[object], frame: bytes) -> None:
        """Send a call to the OS process, which must be idle, and take a slot for it."""
        self.call = call
        self.has_slot = True
        self._pipe.send(frame)

    def stop_when_idle(self) -> None:
        """Let the idle OS process end by itself; it is killed after its grace time."""
        self.is_stopping = self._was_asked_to_stop = True
        self._pipe.close()
        self._kill_later()

    def end(self, at_once: bool = False) -> None:  # noqa: FBT001, FBT002 - a `Call` passes it by position
        """Terminate the OS process, and kill it after its grace time, or at once."""
        was_asked, self.is_stopping, self._was_asked_to_stop = self._was_asked_to_stop, True, True
        if at_once:
            self._send(signal.SIGKILL)
        elif not was_asked:
            self._pipe.shut()
            self._send(signal.SIGTERM)
            self._kill_later()

    def _send(self, number: signal.Signals) -> None:
        self._signal = number
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def _kill_later(self) -> None:
        if self._kill_timer is None:
            self._kill_timer = self._loop.call_later(self._settings.grace_seconds, self._send, signal.SIGKILL)

    def _received(self, kind: bytes, payload: bytes) -> None:
        if kind == child.READY:
            self._is_ready = True
        elif kind == child.NOT_READY:
            self._failure = payload.decode(errors="replace")
        elif self.call is not None:
            call = self.call
            outcome = unpacked(call.name, kind, payload, self._settings.max_result_bytes)
            self.call = None  # not earlier: an error while unpacking must not leave the call without an outcome
            self._owner.replied(self, call, outcome)

    def _lost(self) -> None:
        """Called when the other end of the pipe is closed: the OS process ends, or cannot be reached any more."""
        self.is_stopping = True
        self._kill_later()

    def _keep(self, theirs: socket.socket) -> None:
        """Start the OS process and wait for its end: the body of the thread."""
        with theirs:
            try:
                process = _spawned(theirs.fileno())
            except OSError as error:
                self._post(partial(self._not_started, str(error)))
                return
        self._post(partial(self._started, process))
        if hasattr(os, "waitid"):  # reaped on the loop, so that no signal goes to a reused process id
            with suppress(ChildProcessError):  # other code has reaped it
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        else:
            process.wait()
        if not self._post(partial(self._exited, process)):
            process.wait()

    def _post(self, report: Callable[[], None]) -> bool:
        """Call `report` on the loop; return False when the loop is closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(report)
            return True
        return False

    def _started(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        if self._signal is not None:
            self._send(self._signal)

    def _not_started(self, why: str) -> None:
        self._failure = why
        self._finish(WorkerNotStarted(why))

    def _exited(self, process: "subprocess.Popen[bytes]") -> None:
        exit_code = process.wait()
        self._pipe.drain()
        name = self.call.name if self.call is not None else ""
        error: ExecutorError
        if self._failure is not None:
            error = WorkerNotStarted(self._failure)
        elif self._was_asked_to_stop:
            error = CallStopped(name)
        elif not self._is_ready:
            error = WorkerNotStarted(f"it ended with exit code {exit_code} before it was ready; its stderr may say why")
        else:
            error = WorkerDied(name, exit_code, process.pid)
        self._finish(error)

    def _finish(self, error: ExecutorError) -> None:
        self.is_stopping = True
        self._pipe.close()
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        call, self.call = self.call, None
        self._owner.ended(self, call, error)


PROGRAM: Final = child.__file__


def _spawned(pipe: int) -> "subprocess.Popen[bytes]":
    """Start an OS process on a pipe, in a process group of its own, so that Ctrl-C reaches only the parent."""
    command = [sys.executable, *_options(), "-P", PROGRAM, str(pipe), str(os.getpid())]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(pipe,), process_group=0)  # noqa: S603 - our own program


def _options() -> list[str]:
    """Return the options of our interpreter that change the meaning of code or the search for modules."""
    flags = ["-I"] if sys.flags.isolated else []
    flags += ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
    flags += ["-X", "dev"] if sys.flags.dev_mode else []
    return flags + [f"-W{option}" for option in sys.warnoptions]
