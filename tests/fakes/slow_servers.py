"""Servers that suspend as they begin and as they end, and note both."""

import asyncio
from functools import partial

from headrace.otp.gen_server import GenServer
from headrace.otp.supervision.child_spec import ChildSpec
from headrace.otp.supervision.restart import Restart


class Lifeline:
    """Which servers have begun, and which have ended."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []

    def spec(self, name: str, restart: Restart = "permanent") -> "ChildSpec[SlowServer]":
        """Return the spec of a child."""
        return ChildSpec(partial(SlowServer, self, name), name, restart)

    def alive(self) -> list[str]:
        """Return who has begun and not ended, sorted."""
        left = list(self.begun)
        for name in self.ended:
            left.remove(name)
        return sorted(left)


class SlowServer(GenServer):
    def __init__(self, lifeline: Lifeline, name: str) -> None:
        self.lifeline = lifeline
        self.name = name
        self.has_begun = False

    async def init(self) -> None:
        await asyncio.sleep(0)
        self.lifeline.begun.append(self.name)
        self.has_begun = True
        await asyncio.sleep(0)

    async def terminate(self, reason: object) -> None:
        await asyncio.sleep(0)
        if self.has_begun:
            self.lifeline.ended.append(self.name)
        await asyncio.sleep(0)

    def hello(self) -> str:
        """Answer."""
        return self.name
