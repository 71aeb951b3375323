"""A real HTTP server that answers as a test has it answer, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Got:
    """A request as it came."""

    head: str
    body: bytes

    def header(self, name: str) -> str:
        """Return a header's value; empty without one."""
        found = (line.partition(":") for line in self.head.splitlines()[1:])
        return next((value.strip() for key, _, value in found if key.lower() == name), "")


@dataclass
class Peer:
    """Answers the n-th request, from 1, with what `script` says: a status and headers, "hang", "drop", or "late".

    "late" takes the event, and breaks the connection all the same.
    """

    script: Callable[[int], str] = lambda _: "200"
    got: list[Got] = field(default_factory=list)
    taken: list[Got] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                request = Got(head, await reader.readexactly(int(Got(head, b"").header("content-length"))))
                self.got.append(request)
                said = self.script(len(self.got))
                if said == "late":
                    self.taken.append(request)
                if said in ("drop", "late"):
                    return
                if said == "hang":
                    await reader.read()
                    return
                if said.startswith("2"):
                    self.taken.append(request)
                status, *headers = said.split("\n")
                lines = "".join(f"{line}\r\n" for line in headers)
                writer.write(f"HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n{lines}\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[str]:
    """Serve on a free port; yield the URL."""
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{peer.port}/orders"
    finally:
        server.close()
