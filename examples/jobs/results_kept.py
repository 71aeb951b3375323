"""Results of long work that outlive the program: `examples/otp/results_at_once.py` with a file behind it.

Run it twice with `python examples/jobs/results_kept.py results.db`: the second time the result is there at once.
"""

import asyncio
import sys

from headrace.jobs import JobRegistry, Jobs, WorkerCatalogue, store_of, worker


@worker(name="results.long_running", record=True, max_attempts=1)
async def long_running(key: str) -> str:
    """Stand for work that takes its time."""
    await asyncio.sleep(0.1)
    if key == "bad":
        raise ValueError("nothing can be made of this one")
    return f"the result of {key}"


async def main(path: str) -> None:
    results = JobRegistry(long_running, expires_in_seconds=3600)
    async with Jobs(store_of(f"sqlite:///{path}"), WorkerCatalogue([long_running]), {"default": 10}):
        for key in ("one", "bad"):
            await results.add(key)  # starts the work once, in whatever process, and does not wait for it
        print(await results.find("one"))  # at once
        await asyncio.sleep(0.5)  # here the program does something else
        print(await results.find("one"))
        print(type(await results.find("bad")).__name__)  # what failed says so, and may be added again
        print(await results.find("two"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
