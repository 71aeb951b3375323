"""The HTTP server of a run: it lives in the run's own event loop, on sockets that were bound before."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, cast

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from headrace.http.listener_connection import BACKLOG, Deadlines, TimedConnection

_CLOSE_SECONDS: Final = 2  # for answers that are under way when the run ends


class Listener(uvicorn.Server):
    """Answers with `app` on `sockets`, from `serve` on until `should_exit` is set. Signals are not its business."""

    def __init__(self, app: ASGIApp, sockets: Sequence[socket.socket], deadlines: Deadlines | None = None) -> None:
        protocol = partial(TimedConnection, deadlines=deadlines or Deadlines())
        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[TimedConnection]", protocol),  # uvicorn only calls it
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=_CLOSE_SECONDS,
            )
        )
        self._sockets = list(sockets)
        self._answers = asyncio.Event()

    @override
    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(self._sockets if sockets is None else sockets)
        finally:
            for bound in self._sockets:
                bound.close()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._answers.set()

    async def answers(self) -> None:
        """Wait until requests are answered."""
        await self._answers.wait()

    @contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield
