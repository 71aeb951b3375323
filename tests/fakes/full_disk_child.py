"""Runs one config file while no file can grow beyond a size; says how it ended.

Once a stage tries again, or never, there is room again, as its second argument says: `again` or `never`. The third is
the size in bytes.
"""

import asyncio
import json
import logging
import resource
import sys
from pathlib import Path

from headrace.config.pipeline import Pipeline
from tests.fakes.stepping import until


async def run(config: str, when: str, size: int) -> None:
    unlimited, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with Pipeline.from_file(Path(config)) as pipeline:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
        if when == "again":
            await until(lambda: any(stage.redelivered for stage in pipeline.snapshot().stages))
            resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, most))
        outcome = await pipeline.join()
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, most))
    stages = {stage.name: stage for stage in pipeline.snapshot().stages}
    told = {
        "is_fine": outcome.is_fine,
        "reason": str(outcome.reason),
        "failed": outcome.events_failed,
        "lost": outcome.events_lost,
        "redelivered": {name: stage.redelivered for name, stage in stages.items()},
        "received": {name: stage.events_received for name, stage in stages.items()},
        "discarded": {name: dict(stage.discarded) for name, stage in stages.items()},
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
