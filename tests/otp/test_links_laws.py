"""Links and monitors as laws: who ends with whom, and who hears of it, in any web of links."""

import asyncio
from collections import deque
from typing import ClassVar, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.otp.gen_server import GenServer
from headrace.otp.links import Down, Exit
from headrace.otp.process.process import ExitReason
from headrace.otp.ref import Ref
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Numbers
from tests.fakes.processes import Oops, supervising
from tests.fakes.stepping import rest

NAMES = "abcdef"


class Node(GenServer):
    """A process in a web of links."""

    def __init__(self) -> None:
        self.exits: list[tuple[str, object]] = []
        self.downs: list[tuple[str, object]] = []

    def tie(self, other: "Ref[Node]") -> None:
        self.link(other)

    def watch(self, other: "Ref[GenServer]") -> None:
        self.monitor(other)

    def leave(self, reason: ExitReason) -> None:
        self.stop(reason)

    def handle_info(self, message: object) -> None:
        if isinstance(message, Exit):
            self.exits.append((message.name, message.reason))
        elif isinstance(message, Down):
            self.downs.append((message.name, message.reason))

    def heard(self) -> tuple[list[tuple[str, object]], list[tuple[str, object]]]:
        return sorted(self.exits, key=str), sorted(self.downs, key=str)


class Trapping(Node):
    """A node that outlives those to which it is linked."""

    trap_exits: ClassVar[bool] = True


class Web(NamedTuple):
    """Who traps exits, who is linked to whom, and who watches whom."""

    trapping: frozenset[str]
    links: frozenset[tuple[str, str]]
    watches: frozenset[tuple[str, str]]

    def ended(self, first: str, *, is_normal: bool) -> list[str]:
        """Return who ends when `first` does, first to last."""
        ended, waiting = [first], deque([first])
        while waiting and not is_normal:
            for name in self.linked(waiting.popleft()):
                if name not in ended and name not in self.trapping:
                    ended.append(name)
                    waiting.append(name)
        return ended

    def linked(self, name: str) -> set[str]:
        """Return to whom a node is linked."""
        return {other for pair in self.links if name in pair for other in pair if other != name}


PAIRS = st.frozensets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=8)
WEBS = st.builds(Web, st.frozensets(st.sampled_from(NAMES), max_size=3), PAIRS, PAIRS)
REASONS = st.sampled_from(["normal", "shutdown", "crash"])


@given(web=WEBS, first=st.sampled_from(NAMES), how=REASONS)
def test_who_is_linked_ends_or_is_told_and_who_watches_is_told_once(web: Web, first: str, how: str) -> None:
    async def run() -> None:
        reason: ExitReason = Oops("x") if how == "crash" else "normal" if how == "normal" else "shutdown"
        async with supervising() as supervisor:
            refs: dict[str, Ref[Node]] = {}
            for name in NAMES:
                kind = Trapping if name in web.trapping else Node
                refs[name] = await supervisor.start_child(kind, name=name, restart="temporary")
            for one, other in web.links:
                await refs[one].call(Node.tie, refs[other])
            for one, other in web.watches:
                await refs[one].call(Node.watch, refs[other])
            await refs[first].call(Node.leave, reason)
            await rest(supervisor.scheduler)
            ended = web.ended(first, is_normal=how == "normal")
            assert [name for name in NAMES if not refs[name].is_alive] == sorted(ended)
            for name in NAMES:
                if name in ended:
                    assert await refs[name].ended() is reason
                    continue
                exits, downs = await refs[name].call(Node.heard)
                told = web.linked(name) & set(ended) if name in web.trapping else set()
                assert exits == sorted(((other, reason) for other in told), key=str)
                seen = {other for one, other in web.watches if one == name} & set(ended)
                assert downs == sorted(((other, reason) for other in seen), key=str)
            assert not any(ref._process.exit_hooks for name, ref in refs.items() if name in ended)

    asyncio.run(run())


class Failing(Consumer[int]):
    """A stage that crashes on its first batch."""

    def handle_events(self, events: list[int]) -> None:
        raise Oops


@pytest.mark.asyncio
@pytest.mark.usefixtures("vanished")
async def test_stages_are_linked_and_watched_as_all_processes_are() -> None:
    topology = Topology("t", max_restarts=10)
    topology.add("numbers", lambda: Numbers(501))
    failing = topology.add("failing", Failing, subscribe_to=None)
    async with supervising() as supervisor, topology:
        linked = await supervisor.start_child(Node, name="linked", restart="temporary")
        watching = await supervisor.start_child(Node, name="watching")
        await linked.call(GenServer.link, failing.ref)
        await watching.call(Node.watch, failing.ref)
        failing.subscribe("numbers")
        assert isinstance(await linked.ended(), Oops)
        _, downs = await watching.call(Node.heard)
        assert [(name, type(reason)) for name, reason in downs] == [("failing", Oops)]
        await topology.stop()


class Door(GenServer):
    """A server some of whose messages have the names of the runtime's words."""

    def stop(self, reason: ExitReason = "normal") -> str:  # type: ignore[override]
        return f"stopped with {reason}"

    def send_after(self) -> str:  # type: ignore[override]
        return "sent"

    def handle_timeout(self) -> str:
        return "no time"


@pytest.mark.asyncio
@pytest.mark.usefixtures("vanished")
async def test_messages_may_have_the_names_of_words_for_the_runtime_uses_none_itself() -> None:
    async with supervising() as supervisor:
        door = await supervisor.start_child(Door)
        assert await door.call(Door.stop, "shutdown") == "stopped with shutdown"
        assert await door.call(Door.send_after) == "sent"
        assert await door.call(Door.handle_timeout) == "no time"
        assert await door.stop() == "shutdown"
