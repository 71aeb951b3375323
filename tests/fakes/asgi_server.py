"""Runs an ASGI app under a real uvicorn for as long as a test needs it."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from tests.house.tree import ROOT

CHILD = ROOT / "tests" / "fakes" / "asgi_child.py"


class AsgiServer:
    """A server that runs, and the addresses of its loops."""

    def __init__(self, process: "subprocess.Popen[str]", loops: int) -> None:
        self.process = process
        self._stdout, self._stderr = cast("IO[str]", process.stdout), cast("IO[str]", process.stderr)
        self.urls = [self._stdout.readline().strip() for _ in range(loops)]
        assert all(self.urls), self._stderr.read()

    async def end(self) -> tuple[str, str]:
        """Send SIGTERM and wait for the end; return what the app wrote to stdout and stderr."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._rest)

    def _rest(self) -> tuple[str, str]:
        """Read to the end; `communicate` would close stdin, and so call the guard."""
        return self._stdout.read(), self._stderr.read()


@contextmanager
def asgi_server(app: str, *, loops: int = 1) -> Iterator[AsgiServer]:
    """Serve an app, named as `module:name`; it is killed when the block ends before it does, and dies with us."""
    command = [sys.executable, "-P", "-W", "error", str(CHILD), app, str(loops)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield AsgiServer(process, loops)
        finally:
            process.kill()


def sold(stdout: str) -> dict[str, int]:
    """Return what the embedding examples print at their end."""
    (line,) = (line for line in stdout.splitlines() if line.startswith("sold: "))
    found: dict[str, int] = json.loads(line.removeprefix("sold: "))
    return found
