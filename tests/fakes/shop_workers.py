"""Workers of a small shop, such as a user tests: they write into one list what they do."""

import asyncio
from dataclasses import dataclass
from datetime import date

from headrace.jobs.job import Cancel, Discard, Snooze, Unique
from headrace.jobs.running_job import RunningJob, current_job
from headrace.jobs.worker import worker

SAID: list[str] = []


@dataclass
class Parcel:
    """What is sent."""

    sku: str
    count: int = 1


@worker(queue="mail", tags=["mail"])
async def mail(to: str, day: date | None = None) -> None:
    SAID.append(f"mail {to}{f' {day:%d.%m.}' if day else ''}")


@worker(record=True)
def pack(parcel: Parcel) -> Parcel:
    """Pack twice as many, and say so by mail."""
    SAID.append(f"pack {parcel.sku}")
    mail.enqueue_sync("ann")
    return Parcel(parcel.sku, parcel.count * 2)


@worker
async def order(sku: str, depth: int = 0) -> str:
    SAID.append(f"order {sku}")
    if depth:
        await order.enqueue(sku + "+", depth=depth - 1)
    return sku.upper()


@worker(max_attempts=2, backoff=60.0)
async def refuse(why: str) -> None:
    SAID.append(f"refuse {current_job().attempt}")
    raise KeyError(why)


@worker
async def answer(kind: str) -> Snooze | Cancel | Discard:
    answers: dict[str, Snooze | Cancel | Discard] = {
        "snooze": Snooze(30),
        "cancel": Cancel("no"),
        "discard": Discard("never"),
    }
    return answers[kind]


@worker(unique=Unique(period_seconds=None), record=True)
async def price(job: RunningJob, sku: str) -> int:
    job.progress(0.5, sku)
    return len(sku) + len(job.results)


@worker(timeout_seconds=0.001)
async def hang() -> None:
    await asyncio.Event().wait()


@worker(encrypted=True)
async def charge(card: str) -> None:
    SAID.append(f"charge {card}")
