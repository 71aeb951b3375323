"""The HTTP server of a run: it lives in the run's own event loop, on sockets that were bound before."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

_CONNECTIONS: Final = 200  # more than scrapers and probes need, and far less than the files that may be open
_FAREWELL_SECONDS: Final = 2  # for answers that are under way when the run ends


class Listener(uvicorn.Server):
    """Answers with `app` on `sockets`, from `serve` on until `should_exit` is set. Signals are not its business."""

    def __init__(self, app: ASGIApp, sockets: Sequence[socket.socket]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=_FAREWELL_SECONDS,
            )
        )
        self._sockets = list(sockets)
        self._answers = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until `should_exit` is set; close the sockets then, and whenever this is cancelled."""
        try:
            await super().serve(self._sockets if sockets is None else sockets)
        finally:
            for bound in self._sockets:
                bound.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self._answers.set()

    async def answers(self) -> None:
        """Wait until requests are answered."""
        await self._answers.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the command that runs the pipeline."""
        yield
