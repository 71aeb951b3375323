"""Stages have a server's words: what GenStage's users miss on them (gen_stage 103 and 227)."""

import asyncio

import pytest

from headrace.otp.process.mailbox import Reply
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Silent
from tests.fakes.laws import check_over
from tests.fakes.stepping import run_of, settled, until

pytestmark = pytest.mark.asyncio


class Worded(Silent):
    """Emits what each of its callbacks was told."""

    def __init__(self) -> None:
        super().__init__()
        self.reply: Reply[str] = Reply()

    def init(self) -> None:
        self.continue_with("continued")

    def handle_continue(self, argument: object) -> None:
        self.emit_nowait([argument])
        self.timeout_after(0)

    def handle_timeout(self) -> None:
        self.emit_nowait(["timed out"])
        self.send_after(0, "sent after")

    def handle_info(self, message: object) -> None:
        self.emit_nowait([message])

    def put(self, event: object) -> str:
        self.emit_nowait([event])
        return f"took {event}"

    def wait(self) -> Reply[str]:
        return self.reply

    def answer(self, result: str) -> None:
        self.reply.set(result)


async def test_a_stage_has_the_words_of_a_server_and_emits_from_them() -> None:
    topology, collect = Topology(), Collect()
    handle = topology.add("worded", Worded)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("worded", max_demand=10))
    await topology.start()
    await until(lambda: len(collect.events) == 3)
    assert collect.events == ["continued", "timed out", "sent after"]
    assert await handle.ref.call(Worded.put, "called") == "took called"
    await handle.ref.cast(Worded.put, "cast")
    waiting = asyncio.ensure_future(handle.ref.call(Worded.wait))
    await handle.ref.cast(Worded.answer, "later")
    assert await waiting == "later"
    await settled(topology)
    assert collect.events[3:] == ["called", "cast"]
    await topology.drain()
    check_over(run_of(topology))
