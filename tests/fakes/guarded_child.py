"""Tests that are killed while a server of theirs runs: it says what is to go with it, and waits for its end."""

import json
import signal

from tests.fakes.postgres_server import PostgresServer


def main() -> None:
    """Start the server, print what there is of it, and wait."""
    server = PostgresServer()
    folder = server._guard.folder
    postmaster = int((folder / "data" / "postmaster.pid").read_text().split("\n")[0])
    print(json.dumps({"folder": str(folder), "pids": [server._guard.process.pid, postmaster]}), flush=True)  # noqa: T201
    signal.pause()


if __name__ == "__main__":
    main()
