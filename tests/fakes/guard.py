"""Stands between the tests and a server, and ends it with them, even if they are killed.

Run as a program it makes a folder, and then obeys lines of JSON on its stdin. Once that ends, because the tests closed
it or are no more, it stops the server and removes the folder. `Guard` is its other end, in the tests.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

STOP_SECONDS: Final = 8
"""How long a server has to stop by itself before it is killed."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a guard is to do: run a program to its end, start a server, or stop it."""

    verb: Literal["run", "start", "stop"]
    argv: tuple[str, ...] = ()
    user: str | None = None
    ready: str = ""
    """What a server writes to stderr once it serves."""


class Guard:
    """A guard at work, and the folder that is the server's."""

    def __init__(self) -> None:
        program = [sys.executable, "-I", __file__]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, process_group=0)
        self.folder = Path(self._answer())

    def obey(self, order: Order) -> str:
        """Return nothing once it is done, and what the program wrote to stderr where it failed."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(order)) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Return once the server has ended and the folder is gone."""
        self.process.communicate()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return str(json.loads(self.process.stdout.readline()))


class _Server:
    """The program that is guarded, if any runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def obey(self, order: Order) -> str:
        if order.verb == "stop":
            self.stop()
            return ""
        process = self._process = self._born(order)
        written = ""
        assert process.stderr is not None
        for line in process.stderr:
            written += line
            if order.ready and order.ready in line:
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return ""
        self._process = None
        return written or "it failed" if process.wait() or order.ready else ""

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _born(self, order: Order) -> subprocess.Popen[str]:
        nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
        return subprocess.Popen(
            order.argv, stdin=nothing, stdout=nothing, stderr=pipe, text=True, errors="replace", start_new_session=True,
            cwd=self._folder, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, user=order.user,
            extra_groups=[] if order.user else None,
        )  # fmt: skip


def main() -> None:
    """Guard until stdin ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the server would inherit
    folder = Path(tempfile.mkdtemp(prefix="headrace-guarded-"))
    server = _Server(folder)
    try:
        print(json.dumps(str(folder)), flush=True)  # noqa: T201 - it answers on stdout
        for line in sys.stdin:
            answer = server.obey(Order(**json.loads(line)))
            print(json.dumps(answer), flush=True)  # noqa: T201 - as above
    except BrokenPipeError:  # the tests are no more
        sys.stdout = None  # else it is flushed again at the end, and fails
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
