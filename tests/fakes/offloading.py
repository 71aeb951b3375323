"""A stage whose function runs in OS processes."""

import os
from typing import Any

from headrace.pipeline.stage.producer_consumer import ProducerConsumer


def work(number: int) -> tuple[int, int]:
    """What an OS process makes of a number: 3 raises, 5 ends its OS process."""
    if number == 3:
        raise ValueError(number)
    if number == 5:
        os._exit(7)
    return number, os.getpid()


class Offloads(ProducerConsumer[Any, Any]):
    """Has OS processes run `work`."""

    per_event = True
    one_to_one = True

    def offload(self) -> Any:
        return work

    def handle_events(self, events: list[Any]) -> list[object]:
        return [work(event) for event in events]
