"""Runs one config file while no file can grow beyond a size; says how it ended.

Once a stage tries again there is room again, or never, as its second argument says: `again` or `never`; with `drain` it
is drained then instead, within no time. The third is the size in bytes.
"""

import asyncio
import json
import logging
import resource
import sys
from pathlib import Path

from headrace.config.pipeline import Pipeline
from headrace.pipeline.topology.snapshot import StageSnapshot

LOOK_SECONDS = 0.005
"""Between two looks: one that looks all the time keeps the thread that writes from Python's lock."""


def refusals(stage: StageSnapshot) -> float:
    """Return how many writes to a buffer were refused."""
    families = {family.spec.name: family.samples for family in stage.families}
    return families.get("headrace_disk_buffer_write_failures_total", {}).get((), 0.0)


def has_tried(stage: StageSnapshot) -> bool:
    return stage.redelivered > 0 or refusals(stage) > 0


async def run(config: str, when: str, size: int) -> None:
    unlimited, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with Pipeline.from_file(Path(config)) as pipeline:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
        if when != "never":
            while not any(map(has_tried, pipeline.snapshot().stages)):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(LOOK_SECONDS)
        if when == "again":
            resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, most))
        outcome = await (pipeline.drain(0.01) if when == "drain" else pipeline.join())
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, most))
    stages = {stage.name: stage for stage in pipeline.snapshot().stages}
    told = {
        "is_fine": outcome.is_fine,
        "reason": str(outcome.reason),
        "failed": outcome.events_failed,
        "lost": outcome.events_lost,
        "redelivered": {name: stage.redelivered for name, stage in stages.items()},
        "received": {name: stage.events_received for name, stage in stages.items()},
        "restarts": sum(stage.restarts for stage in stages.values()),
        "refusals": sum(map(refusals, stages.values())),
        "discarded": {name: dict(stage.discarded) for name, stage in stages.items()},
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
