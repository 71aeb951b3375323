"""An OS process that puts or replays dead letters until it is killed: `dead_letter_child.py put|replay PATH NOTES`.

It notes what it was promised in a file of its own: a number once its letter was put, or once its event went through.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from headrace.dead_letters.service import DeadLetterService
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.dead_letters import letter

ALL = DeadLetterFilter()
BEAT_SECONDS = 0.05


class Quiet(Producer[Any]):
    """Emits nothing; its edges carry messages where it is told so."""

    def handle_demand(self, demand: int) -> list[Any]:
        return []


class QuietMessages(Quiet):
    emits_messages = True


class Price(ProducerConsumer[Any, Any]):
    """Gives way before each event, so that a kill meets it at work."""

    per_event = True
    one_to_one = True

    async def handle_events(self, events: list[Any]) -> list[Any]:
        for _ in events:
            await asyncio.sleep(0)
        return events


class Note(Consumer[Any]):
    """Notes each number that comes through."""

    per_event = True

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def handle_events(self, events: list[Any]) -> None:
        _note(self.notes, *events)


def _note(notes: Path, *numbers: int) -> None:
    with notes.open("a") as file:
        file.write("".join(f"{number}\n" for number in numbers))


async def put(path: Path, notes: Path) -> None:
    """Put letters for ever, a few at a time; their numbers begin where the notes file's name says."""
    store = SqliteDeadLetterStore(path)
    await store.open()
    number = int(notes.stem) * 1_000_000
    while True:
        numbers = range(number, number + 3)
        await store.put([letter(one) for one in numbers])
        _note(notes, *numbers)
        number += 3


async def replay(path: Path, notes: Path, source: type[Quiet]) -> None:
    """Replay all letters, and end once there is none left."""
    store = SqliteDeadLetterStore(path, heartbeat_seconds=BEAT_SECONDS)
    topology = Topology("shop")
    service = DeadLetterService(store, "shop")
    topology.add_service(service)
    topology.add("source", source)
    topology.add("price", Price, subscribe_to="source")
    topology.add("note", lambda: Note(notes), subscribe_to="price")
    async with topology:
        while await store.count(ALL):
            await store.request_replay(ALL)
            service.wake()


async def main(what: str, path: Path, notes: Path) -> None:
    """Do what the first word says."""
    if what == "put":
        await put(path, notes)
    else:
        await replay(path, notes, QuietMessages if what == "replay-messages" else Quiet)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
