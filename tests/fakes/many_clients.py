"""Many clients of one server, which send nothing: in an OS process of their own, which has its own limit of open files.

Run as a program it obeys lines on its stdin, and ends with that, whatever becomes of the tests. `ManyClients` is its
other end, in the tests.
"""

import asyncio
import resource
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from tests.house.tree import ROOT

AT_ONCE: Final = 100
"""As many connections as wait at a listening socket of asyncio's; one more has to try again after a second."""


@contextmanager
def most_files() -> Iterator[int]:
    """Let this OS process open as many files as the system lets it; hand on how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class ManyClients:
    """The clients, told what to do."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def open(self, count: int) -> int:
        """Connect so many more, `AT_ONCE` at most; return how many there are then."""
        return await self._tell(f"open {count}")

    async def refused(self, count: int) -> int:
        """Return how many of the last ones hear 503, once each has heard something."""
        return await self._tell(f"hear {count}")

    async def _tell(self, order: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order}\n".encode())
        return int(await self._process.stdout.readline())


@asynccontextmanager
async def many_clients(port: int) -> AsyncIterator[ManyClients]:
    """Have clients of the server at a port; they are gone in the end."""
    pipe = asyncio.subprocess.PIPE
    program = [sys.executable, "-P", __file__, str(port)]
    process = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe, env={"PYTHONPATH": str(ROOT)})
    try:
        yield ManyClients(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def main(port: int) -> None:
    """Obey until stdin ends."""
    held: list[socket.socket] = []
    with most_files():
        for line in sys.stdin:
            verb, number = line.split()
            count = int(number)
            if verb == "open":
                held += [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
                answer = len(held)
            else:
                answer = sum(b" 503 " in client.recv(1000) for client in held[-count:])
            print(answer, flush=True)  # noqa: T201 - it answers on stdout


if __name__ == "__main__":
    main(int(sys.argv[1]))
