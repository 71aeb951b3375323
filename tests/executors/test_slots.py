"""Slots: at most as many as allowed are taken, in the order of asking, and none is lost."""

import asyncio
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from headrace.executors.executor import Slots

Word = Literal["take", "give back", "cancel oldest", "cancel newest", "run"]
Step = Word | int
WORDS: list[Step] = ["take", "give back", "cancel oldest", "cancel newest", "run", 1, 2, 3]
STEPS = st.lists(st.sampled_from(WORDS), max_size=40)


class Takers:
    """Coroutines that take a slot each, in the order in which they were started."""

    def __init__(self, limit: int) -> None:
        self.slots = Slots(limit)
        self.asking: list[asyncio.Task[bool]] = []
        self.served: list[int] = []
        self.held = 0
        self.asked = 0

    async def take(self, number: int) -> bool:
        got = await self.slots.take()
        self.served.append(number)
        self.held += got
        return got

    async def do(self, step: Step) -> None:
        self.asking = [task for task in self.asking if not task.done()]
        if isinstance(step, int):
            self.slots.resize(step)
        elif step == "take":
            self.asking.append(asyncio.get_running_loop().create_task(self.take(self.asked)))
            self.asked += 1
            await asyncio.sleep(0)  # it asks; what it is told, it hears later
        elif step == "give back" and self.held:
            self.held -= 1
            self.slots.give_back()
        elif step == "cancel oldest" and self.asking:
            self.asking[0].cancel()
        elif step == "cancel newest" and self.asking:
            self.asking[-1].cancel()
        elif step == "run":
            await rest()


async def rest() -> None:
    """Let all that can go on do so."""
    for _ in range(4):
        await asyncio.sleep(0)


@given(limit=st.integers(1, 3), steps=STEPS)
def test_slots_are_bounded_fair_and_never_lost(limit: int, steps: list[Step]) -> None:
    async def story() -> None:
        takers = Takers(limit)
        for step in steps:
            before = takers.slots.taken
            await takers.do(step)
            assert takers.slots.taken <= max(takers.slots.limit, before)
        await rest()
        assert takers.served == sorted(takers.served)
        assert takers.slots.taken == takers.held
        waiting = [task for task in takers.asking if not task.done()]
        assert takers.slots.waiting == len(waiting)
        assert not waiting or takers.slots.taken >= takers.slots.limit
        takers.slots.dismiss()
        assert not any([await task for task in waiting])

    asyncio.run(story())
