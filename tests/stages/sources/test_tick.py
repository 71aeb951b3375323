"""Ticks come when they are due, also where a clock is set or the loop was held."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.pipeline.topology.topology import Topology
from headrace.stages.sources.emit import Emit, EmitOptions
from headrace.stages.sources.tick import Tick, TickOptions
from tests.fakes.failing_stages import Kept
from tests.fakes.jumping import jumped, when
from tests.fakes.stepping import until

START = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)


class Calendar:
    """The time of the loop, from a moment on; it can be set."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def __call__(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time()) + self.shift


async def ticks(calendar: Calendar, count: int, **options: object) -> list[Any]:
    topology, sink = Topology(), Kept()
    topology.add("tick", lambda: Tick(TickOptions.model_validate(options), calendar))
    topology.add("sink", lambda: sink, subscribe_to="tick")
    await topology.start()
    await when(lambda: len(sink.data) >= count)
    assert (await topology.drain()).is_fine
    return sink.data


def test_an_event_comes_every_so_often_with_its_number() -> None:
    seen = jumped(ticks(Calendar(), 5, every="10s"))
    assert [one["n"] for one in seen] == [0, 1, 2, 3, 4]
    times = [datetime.fromisoformat(one["at"]) for one in seen]
    assert [round((at - START).total_seconds()) for at in times] == [10, 20, 30, 40, 50]


def test_an_event_comes_at_the_times_of_a_crontab() -> None:
    seen = jumped(ticks(Calendar(), 3, cron="*/5 * * * *"))
    assert [one["at"] for one in seen] == [f"2026-11-24T12:{minute:02}:00+00:00" for minute in (5, 10, 15)]


def test_a_calendar_that_is_set_forward_misses_what_lies_between_and_goes_on() -> None:
    calendar = Calendar()

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        loop.call_later(400, lambda: setattr(calendar, "shift", timedelta(hours=3)))
        return await ticks(calendar, 3, cron="*/5 * * * *")

    seen = jumped(main())
    assert [one["at"][11:16] for one in seen] == ["12:05", "12:10", "15:10"]


def test_a_calendar_that_is_set_back_repeats_no_event_and_goes_on_in_its_time() -> None:
    calendar = Calendar()

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        loop.call_later(400, lambda: setattr(calendar, "shift", -timedelta(hours=1)))
        return await ticks(calendar, 3, cron="*/5 * * * *")

    seen = jumped(main())
    assert [one["at"][11:16] for one in seen] == ["12:05", "12:10", "12:15"]


@pytest.mark.parametrize("shift", [timedelta(hours=1), -timedelta(hours=1)])
def test_a_calendar_that_is_set_changes_nothing_about_how_often(shift: timedelta) -> None:
    calendar, at = Calendar(), list[float]()

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        loop.call_later(25, lambda: setattr(calendar, "shift", shift))
        seen = await ticks(calendar, 5, every="10s")
        at.append(loop.time())
        return seen

    seen = jumped(main())
    assert [one["n"] for one in seen] == [0, 1, 2, 3, 4]
    assert 50 <= at[0] < 60


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "needs `every:` or `cron:`, and not both"),
        ({"every": "1s", "cron": "@daily"}, "needs `every:` or `cron:`, and not both"),
        ({"every": "0s"}, "greater than 0"),
        ({"cron": "61 * * * *"}, "61"),
        ({"cron": "@daily", "timezone": "Mars"}, "Mars"),
        ({"every": "1s", "timezone": "Europe/Berlin"}, "it is for `cron`"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        TickOptions.model_validate(options)


@pytest.mark.asyncio
async def test_a_door_emits_what_python_hands_in() -> None:
    topology, sink = Topology(), Kept()
    topology.add("door", lambda: Emit(EmitOptions()))
    topology.add("sink", lambda: sink, subscribe_to="door")
    await topology.start()
    await topology.stage("door").emit([1, 2])
    topology.stage("door").emit_nowait([3])
    await until(lambda: sink.data == [1, 2, 3])
    assert (await topology.drain()).is_fine
