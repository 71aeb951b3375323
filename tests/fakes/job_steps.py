"""Workers of workflows, chains and batches: they note what they ran with, and hand results on."""

import asyncio
from collections import defaultdict

from headrace.jobs.running_job import current_job
from headrace.jobs.worker import worker


class Steps:
    """What ran, in order, with the most at once of each key; and the gates at which steps wait."""

    def __init__(self) -> None:
        self.ran: list[object] = []
        self.at_once: dict[str, int] = defaultdict(int)
        self.most = 0
        self.gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)


STEPS = Steps()


def clear_steps() -> Steps:
    """Forget what other tests noted."""
    STEPS.__init__()  # type: ignore[misc] # the workers are functions of a module, and know this one only
    return STEPS


@worker(record=True)
async def fetch(number: int) -> int:
    return number


@worker(record=True)
async def add_up() -> int:
    return sum(fetch.restored(result) for result in current_job().results.values())


@worker
async def tell() -> None:
    STEPS.ran.append(dict(current_job().results))


@worker
async def stand(key: str) -> None:
    STEPS.ran.append(key)
    await STEPS.gates[key].wait()


@worker(chain="customer")
async def bill(customer: str, number: int) -> None:
    STEPS.at_once[customer] += 1
    STEPS.most = max(STEPS.most, STEPS.at_once[customer])
    await asyncio.sleep(0)
    STEPS.ran.append((customer, number))
    STEPS.at_once[customer] -= 1


@worker
async def report() -> None:
    STEPS.ran.append(current_job().meta["batch_id"])
