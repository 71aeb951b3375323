"""A pipeline whose stage `price` fails as a table says, run after run on one store of dead letters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.dead_letters.dead_letter import DeadLetter
from headrace.dead_letters.service import DeadLetterService
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.topology import Topology
from tests.fakes.dead_letters import ALL
from tests.fakes.failing_stages import (
    Kept,
    OneToOne,
    Table,
)
from tests.fakes.flow_stages import Silent
from tests.fakes.laws import check_over
from tests.fakes.stepping import run_of


class Quiet(Silent):
    """A source that emits nothing, on edges that carry messages."""

    emits_messages = True


class Shop:
    """A source, a stage `price` that fails as a table says, and a sink; a new pipeline for each run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table = Table({})
        self.sink = Kept()

    def store(self) -> SqliteDeadLetterStore:
        return SqliteDeadLetterStore(self.path)

    def topology(
        self,
        source: Callable[[], Producer[Any]],
        shape: Callable[[Table], Any] = OneToOne,
        sink: Callable[[], Consumer[Any]] | None = None,
        store: SqliteDeadLetterStore | None = None,
        **settings: Any,
    ) -> Topology:
        topology = Topology("shop")
        topology.add_service(DeadLetterService(store or self.store(), "shop"))
        topology.add("source", source)
        said = StageSettings(**settings)
        topology.add("price", lambda: shape(self.table), subscribe_to=SubscribeTo("source", 10, 5), settings=said)
        topology.add("sink", sink or (lambda: self.sink), subscribe_to="price")
        return topology

    async def run(self, source: Callable[[], Producer[Any]], *args: Any, **settings: Any) -> RunOutcome:
        topology = self.topology(source, *args, **settings)
        await topology.start()
        outcome = await topology.join()
        check_over(run_of(topology))
        return outcome

    async def letters(self) -> list[DeadLetter]:
        store = self.store()
        await store.open()
        try:
            return await store.find(ALL, 1000, is_newest_first=False)
        finally:
            await store.close()

    async def request_replay(self, which: DeadLetterFilter = ALL, rate: float | None = None) -> int:
        store = self.store()
        await store.open()
        try:
            return await store.request_replay(which, rate)
        finally:
            await store.close()


def wake(topology: Topology) -> None:
    """Have the run check for requested replays now."""
    service = topology.service(DeadLetterService)
    assert service is not None
    service.wake()
