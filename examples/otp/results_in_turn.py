"""Results of long work, one after the other: `add` does the work itself, and `find` waits for its turn.

Run it with `python examples/otp/results_in_turn.py`.
"""

import asyncio
from functools import partial

from headrace import GenServer, Supervisor
from headrace.errors import CallTimeout


async def long_running(key: str) -> str:
    """Stands for work that takes time."""
    await asyncio.sleep(0.1)
    if key == "bad":
        raise ValueError("nothing can be made of this one")
    return f"the result of {key}"


class Results(GenServer):
    """Does one thing at a time: a call waits until all earlier work is done."""

    def __init__(self, values: dict[str, str]) -> None:
        """Store results in `values`. It is made outside of this server, so it survives a crash."""
        self.values = values

    async def add(self, key: str) -> None:
        """Do the work, unless it is done."""
        if key not in self.values:
            self.values[key] = await long_running(key)

    def find(self, key: str) -> str | None:
        """Return a result, or None if the key was never added."""
        return self.values.get(key)


async def main() -> None:
    async with Supervisor("results") as supervisor:
        kept: dict[str, str] = {}
        results = await supervisor.start_child(partial(Results, kept), name="results")
        await results.cast(Results.add, "one")  # returns at once
        try:
            await results.within(0.02).call(Results.find, "one")  # its turn comes when `add` has finished
        except CallTimeout as error:
            print(error)
        print(await results.call(Results.find, "one"))  # waits up to 5 s
        await results.cast(Results.add, "bad")
        await results.cast(Results.add, "two")
        print(await results.call(Results.find, "two"))  # waiting messages survive the restart
        print(f"kept outside: {', '.join(kept)}")


if __name__ == "__main__":
    asyncio.run(main())
