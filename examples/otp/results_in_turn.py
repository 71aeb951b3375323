"""Results of long work, as one first writes it: `add` does the work itself, and `find` waits until its turn has come.

Run it with `python examples/otp/results_in_turn.py`.
"""

import asyncio
from functools import partial

from headrace import GenServer, Supervisor
from headrace.errors import CallTimeout


async def long_running(key: str) -> str:
    """Stand for work that takes its time."""
    await asyncio.sleep(0.1)
    if key == "bad":
        raise ValueError("nothing can be made of this one")
    return f"the result of {key}"


class Results(GenServer):
    """Does one thing at a time: who asks while it works, waits, and then gets the result of all that came before."""

    def __init__(self, values: dict[str, str]) -> None:
        """Keep what is found in `values`; what shall survive a crash of this server is made outside of it."""
        self.values = values

    async def add(self, key: str) -> None:
        """Do the work, unless it was done before."""
        if key not in self.values:
            self.values[key] = await long_running(key)

    def find(self, key: str) -> str | None:
        """Return a result, or None when nobody has asked for it before."""
        return self.values.get(key)


async def main() -> None:
    async with Supervisor("results") as supervisor:
        kept: dict[str, str] = {}
        results = await supervisor.start_child(partial(Results, kept), name="results")
        await results.cast(Results.add, "one")  # returns at once
        try:
            await results.within(0.02).call(Results.find, "one")  # its turn comes when `add` is through
        except CallTimeout as error:
            print(error)
        print(await results.call(Results.find, "one"))  # waits up to 5 s
        await results.cast(Results.add, "bad")
        await results.cast(Results.add, "two")
        print(await results.call(Results.find, "two"))  # mail waits through the restart
        print(f"kept outside: {', '.join(kept)}")


if __name__ == "__main__":
    asyncio.run(main())
