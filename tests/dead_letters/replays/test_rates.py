"""How quickly letters are replayed."""

from typing import Any

import pytest

from headrace.dead_letters.replay import StageReplay
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.otp.scheduler import Scheduler
from tests.fakes.dead_letters import ALL, letter
from tests.fakes.failing_stages import (
    Kept,
)
from tests.fakes.stepping import alone, started, until

pytestmark = pytest.mark.asyncio


class Notes:
    """Notes what a replay tells."""

    def __init__(self) -> None:
        self.told: list[tuple[int, bool | None]] = []

    def ended(self, replay: Any, *, is_done: bool) -> None:
        self.told.append((replay.id, is_done))

    def not_started(self, replay: Any) -> None:
        self.told.append((replay.id, None))

    def asked(self) -> None:
        pass


async def test_letters_go_no_quicker_than_their_rate_and_make_up_for_little(aside: SqliteDeadLetterStore) -> None:
    sink, notes = Kept(), Notes()
    process = alone(sink, Scheduler(), name="price")
    await started(process)
    assert process.input is not None
    await aside.put([letter(number) for number in range(4, 11)])
    await aside.request_replay(ALL, rate=20.0)
    replay = StageReplay("price", process, notes)
    assert replay.room == 100
    replay.add(await aside.lease("shop", "price", 100))
    sent = []
    for now in (100.0, 100.01, 100.05, 100.06, 100.1, 101.0, 101.0):
        wait = replay.send_due(now)
        await until(lambda: not process._input.in_flight())
        sent.append((len(sink.data), round(wait or 0.0, 3)))
    assert sent == [(1, 0.05), (1, 0.04), (2, 0.05), (2, 0.04), (3, 0.05), (6, 0.05), (6, 0.05)]
    replay.finish()
    assert notes.told == [(number, True) for number in range(1, 7)] + [(number, None) for number in range(7, 11)]
    process.kill()
