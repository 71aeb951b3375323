"""The laws of a ThreadExecutor, on random calls: each ends once and as it should, and every slot comes back."""

import asyncio
import threading
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from headrace.executors.call import Call, Raised, Returned
from headrace.executors.thread_executor import ThreadExecutor


@dataclass(frozen=True)
class Plan:
    """One call: whether it raises, and after how many turns of the loop its caller leaves, if it does."""

    raises: bool
    leaves_after: int | None


PLANS = st.lists(st.builds(Plan, st.booleans(), st.none() | st.integers(0, 8)), min_size=1, max_size=9)


class Works:
    """Functions that wait until they are let go, and count how often each ran and how many did at a time."""

    def __init__(self) -> None:
        self.is_let_go = threading.Event()
        self.lock = threading.Lock()
        self.ran: list[int] = []
        self.running = 0
        self.most = 0

    def work(self, number: int, plan: Plan) -> int:
        with self.lock:
            self.ran.append(number)
            self.running += 1
            self.most = max(self.most, self.running)
        self.is_let_go.wait()
        with self.lock:
            self.running -= 1
        if plan.raises:
            raise KeyError(number)
        return number


async def _called(executor: ThreadExecutor, works: Works, number: int, plan: Plan) -> Call[int] | None:
    """Make a call and return its handle; None when its caller left before it began."""
    begun: list[Call[int]] = []

    async def caller() -> None:
        begun.append(await executor.start(works.work, number, plan))
        await begun[0].finish(None)

    task = asyncio.ensure_future(caller())
    if plan.leaves_after is not None:
        for _ in range(plan.leaves_after):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or plan.leaves_after is None
    if not task.cancelled():
        assert isinstance(task.exception(), KeyError) is plan.raises
    return begun[0] if begun else None


@given(limit=st.integers(1, 3), plans=PLANS)
def test_every_call_ends_once_and_as_it_should_and_every_slot_comes_back(limit: int, plans: list[Plan]) -> None:
    async def story() -> None:
        works = Works()
        async with ThreadExecutor(limit) as executor:
            callers = [
                asyncio.ensure_future(_called(executor, works, number, plan)) for number, plan in enumerate(plans)
            ]
            for _ in range(12):
                await asyncio.sleep(0)
            assert executor.statistics().busy <= limit
            works.is_let_go.set()
            calls = await asyncio.gather(*callers)
            for number, (plan, call) in enumerate(zip(plans, calls, strict=True)):
                assert works.ran.count(number) <= (call is not None)
                if call is not None:
                    ended = await call.ended()
                    assert isinstance(ended, Raised) if plan.raises else ended == Returned(number)
            assert sorted(works.ran) == [number for number, call in enumerate(calls) if call is not None]
            assert works.most <= limit
            assert not executor.left
            assert executor.statistics().busy == executor.statistics().waiting == 0
            assert executor.statistics().alive <= limit

    asyncio.run(story())
