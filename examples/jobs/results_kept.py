"""Stores results of long work on disk: the durable form of `examples/otp/results_at_once.py`.

Run `python examples/jobs/results_kept.py results.db` twice: the second run finds the results at once.
"""

import asyncio
import sys

from headrace.jobs import JobRegistry, Jobs, worker


@worker(name="results.long_running", record=True, max_attempts=1)
async def long_running(key: str) -> str:
    """Stands for work that takes time."""
    await asyncio.sleep(0.1)
    if key == "bad":
        raise ValueError("nothing can be made of this one")
    return f"the result of {key}"


async def main(path: str) -> None:
    results = JobRegistry(long_running, expires_in_seconds=3600)
    async with Jobs(f"sqlite:///{path}", [long_running], {"default": 10}):
        for key in ("one", "bad"):
            await results.add(key)  # starts the work once for all processes, and does not wait for it
        print(await results.find("one"))  # answers at once
        await asyncio.sleep(0.5)  # stands for other work
        print(await results.find("one"))
        print(type(await results.find("bad")).__name__)  # a failed key may be added again
        print(await results.find("two"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
