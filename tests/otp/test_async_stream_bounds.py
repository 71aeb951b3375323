"""The bounds of a stream of tasks, on random work."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import TaskFailed
from headrace.otp.task import Task
from tests.fakes.processes import Oops, hops
from tests.fakes.tasks import Crowd, Numbers


@given(
    iterations=st.lists(st.integers(0, 6), max_size=12),
    limit=st.integers(1, 4),
    is_ordered=st.booleans(),
    pause=st.integers(0, 4),
)
def test_every_element_comes_once_in_order_if_asked_for_and_within_the_bounds(
    iterations: list[int], limit: int, pause: int, *, is_ordered: bool
) -> None:
    async def main() -> None:
        crowd, taken = Crowd(), 0
        source = Numbers(len(iterations))
        results: list[int] = []

        def pulled() -> Iterator[int]:
            return (iterations[number] for number in source)

        async for result in Task.async_stream(crowd.work, pulled(), max_concurrency=limit, ordered=is_ordered):
            taken += 1
            assert source.pulled <= taken + 2 * limit
            results.append(result)
            await hops(pause)
        assert results == iterations if is_ordered else sorted(results) == sorted(iterations)
        assert crowd.most <= limit
        assert crowd.present == 0

    asyncio.run(main())


@given(
    iterations=st.lists(st.integers(-4, 4), max_size=12),
    limit=st.integers(1, 4),
    taken=st.integers(0, 12),
    is_ordered=st.booleans(),
)
def test_failures_keep_their_places_and_whoever_leaves_early_leaves_nothing_behind(
    iterations: list[int], limit: int, taken: int, *, is_ordered: bool
) -> None:
    """An element below 0 fails after as many iterations."""

    async def main() -> None:
        crowd, source = Crowd(), Numbers(len(iterations))

        async def work(number: int) -> int:
            await crowd.work(abs(iterations[number]))
            if iterations[number] < 0:
                raise Oops
            return number

        outcomes: list[object] = []
        stream = Task.async_stream(
            work, source.later(), max_concurrency=limit, ordered=is_ordered, return_exceptions=True
        )
        async with aclosing(stream):
            async for outcome in stream:
                outcomes.append(None if isinstance(outcome, TaskFailed) else outcome)
                if len(outcomes) == taken:
                    break
        assert crowd.present == 0
        assert source.is_closed
        expected = [None if each < 0 else number for number, each in enumerate(iterations)]
        if is_ordered:
            assert outcomes == expected[: taken or None]
        elif len(outcomes) == len(expected):
            assert sorted(map(str, outcomes)) == sorted(map(str, expected))

    asyncio.run(main())
