"""The bounds of a stream of tasks, on random work."""

import asyncio
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.process.task import Task
from tests.fakes.processes import hops
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
