"""Events collected into lists of 100: by `batch`, and by a plain loop."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.measure import Line, all_arrived, at_least, ratio
from benchmarks.stages import Ints, LooseInts, Sum
from headrace.pipeline.topology.topology import Topology
from headrace.stages.transforms.batch import Batch, BatchOptions

TOTAL: Final = 500_000
SIZE: Final = 100
PIECE: Final = 500


class SumAll(Sum):
    """Adds up the numbers in the lists."""

    def handle_events(self, events: list[Any]) -> None:
        """Add some lists."""
        for event in events:
            self.sum += sum(event)
            self.count += len(event)


async def staged() -> float:
    """Return the seconds of a source, a `batch` and a sink."""
    topology, sink = Topology(), SumAll()
    topology.add("ints", lambda: Ints(TOTAL))
    topology.add("batch", lambda: Batch(BatchOptions(max_events=SIZE)), subscribe_to="ints")
    topology.add("sum", lambda: sink, subscribe_to="batch")
    start = time.perf_counter()
    await topology.start()
    await topology.join()
    seconds = time.perf_counter() - start
    all_arrived(sink.count, TOTAL)
    return seconds


def plain() -> float:
    """Return the seconds of these callbacks without stages, with slices of lists."""
    source, sink, held = LooseInts(TOTAL), SumAll(), list[int]()
    start = time.perf_counter()
    while source.next < TOTAL:
        held += source.handle_demand(PIECE)
        made = [held[at : at + SIZE] for at in range(0, len(held) - len(held) % SIZE, SIZE)]
        held = held[len(made) * SIZE :]
        sink.handle_events(made)
    seconds = time.perf_counter() - start
    all_arrived(sink.count, TOTAL)
    return seconds


def lines() -> Iterator[Line]:
    """Measure lists of 100."""
    yield at_least("batch of 100, against slices of a list", ratio(plain, lambda: asyncio.run(staged())), None)
