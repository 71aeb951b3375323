"""An ASGI app under uvicorn, as an OS process: one server for each event loop that is asked for.

`python -P tests/fakes/asgi_child.py MODULE:NAME LOOPS`. It writes each server's address, ends on SIGTERM as uvicorn
does, and at once when nobody holds its standard input any more.
"""

import os
import socket
import sys
import threading
from pathlib import Path

import uvicorn

GRACE_SECONDS = 1  # for answers under way at the end; the least that uvicorn counts


def guard() -> None:
    sys.stdin.read()
    os._exit(1)


def bound() -> socket.socket:
    # Only on sockets that say TCP does asyncio send answers without waiting 40 ms for more to go with them.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # Small, so that a client that does not read is felt after some kilobytes.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    host, port = listening.getsockname()
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    return listening


def main(app: str, loops: int) -> None:
    threading.Thread(target=guard, daemon=True).start()
    sockets = [bound() for _ in range(loops)]
    servers = [
        uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS))
        for _ in sockets
    ]
    others = [
        threading.Thread(target=server.run, args=([listening],))
        for server, listening in zip(servers[1:], sockets[1:], strict=True)
    ]
    for thread in others:
        thread.start()
    try:
        servers[0].run([sockets[0]])
    finally:
        for server in servers:
            server.should_exit = True
        for thread in others:
            thread.join()


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2]))
    main(sys.argv[1], int(sys.argv[2]))
