"""The parent's end of the pipe to an OS process: frames out and in, watched by the event loop."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from headrace.executors.worker_main import HEADER

READ_BYTES: Final = 1 << 18
"""Bytes that are read at a time: about what a socket holds, so that one large result does not hold up the loop."""


class Pipe:
    """Sends frames without ever waiting, and tells of each that came in, in order."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        end: socket.socket,
        heard: Callable[[bytes, bytes], None],
        lost: Callable[[], None],
    ) -> None:
        """`heard` gets kind and payload of a frame; `lost` is called once, when the other end is closed."""
        self._loop = loop
        self._end = end
        self._heard = heard
        self._lost = lost
        self._unsent: deque[memoryview] = deque()
        self._unread = bytearray()
        self._is_open = True
        end.setblocking(False)
        loop.add_reader(end.fileno(), self._read)

    def send(self, frame: bytes) -> None:
        """Send a frame, now or as soon as the other end takes it; one to a dead end goes nowhere."""
        if not self._is_open:
            return
        rest = memoryview(frame)
        if not self._unsent:
            rest = self._sent(rest)
        if rest:
            self._unsent.append(rest)
            self._loop.add_writer(self._end.fileno(), self._write)

    def drain(self) -> None:
        """Read all that was sent before the other end died."""
        while self._is_open and self._read():
            pass

    def shut(self) -> None:
        """Send nothing more, and let the other end see that; what it sends is still read."""
        self._unsent.clear()
        if self._is_open:
            self._loop.remove_writer(self._end.fileno())
            with suppress(OSError):  # it is dead, and reading says so
                self._end.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close our end; what was not sent is dropped."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._end.fileno())
            self._loop.remove_writer(self._end.fileno())
            self._end.close()
            self._unsent.clear()

    def _sent(self, rest: memoryview) -> memoryview:
        """Send what the socket takes, and return what it does not."""
        try:
            return rest[self._end.send(rest) :]
        except (BlockingIOError, InterruptedError):
            return rest
        except OSError:  # it is dead, and reading says so
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
        except OSError:  # reset by the other end, which died before it read all
            chunk = b""
        if not chunk:
            self.close()
            self._lost()
            return False
        self._unread += chunk
        self._tell()
        return True

    def _tell(self) -> None:
        while self._is_open and len(self._unread) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._unread)
            end = HEADER.size + length
            if len(self._unread) < end:
                return
            payload = bytes(memoryview(self._unread)[HEADER.size : end])
            del self._unread[:end]
            self._heard(kind, payload)
