"""A proxy before PostgreSQL that names another process than the session's, as PgBouncer does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

KEY: Final = b"K\x00\x00\x00\x0c"
"""How BackendKeyData begins; the number of the process follows."""
OTHER_PROCESS: Final = (1).to_bytes(4, "big")


@asynccontextmanager
async def pooled(port: int) -> AsyncIterator[int]:
    """Stand before the server of that port; return the port of the proxy."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        for one in (_copy(reader, server_writer), _copy(server_reader, writer)):
            tasks.add(asyncio.get_running_loop().create_task(one))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            before, key, after = data.partition(KEY)
            writer.write(before + key + OTHER_PROCESS + after[4:] if key else data)
            await writer.drain()
    finally:
        writer.close()
