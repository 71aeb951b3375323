"""One event comes of each, in order, and what fails fails alone."""

import asyncio
import functools
import logging

import pytest
from pydantic import ValidationError

from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.producer import Producer
from headrace.stages.transforms.map import Map, MapOptions
from tests.stages.runs import run, run_events

pytestmark = pytest.mark.asyncio


def map_(**options: object) -> Map:
    return Map(MapOptions.model_validate(options))


def halve(event: int) -> float:
    return 12 / event


async def halve_later(event: int) -> float:
    await asyncio.sleep(0)
    return 12 / event


def halve_somehow(event: int) -> object:
    """Look like a plain function and return what an async one does, as a decorated one would."""
    return halve_later(event)


@pytest.mark.parametrize(
    "call", [halve, halve_later, halve_somehow, functools.partial(halve_later), functools.partial(halve)]
)
@pytest.mark.parametrize("max_demand", [1, 3, 1000])
async def test_a_function_makes_one_event_of_each_and_fails_alone(call: object, max_demand: int) -> None:
    ran = await run_events([1, 2, 0, 3, 0, 4], map_(call=call), max_demand=max_demand)
    assert ran.events == [12, 6, 4, 3]
    assert ran.outcome.events_failed == 2
    assert not ran.outcome.is_fine
    assert ran.stages[1].discarded["error"] == 2
    assert ran.stages[1].errors == {"ZeroDivisionError": 2}
    assert ran.stages[1].restarts == 0


async def test_a_function_is_named_in_a_config_and_may_return_anything() -> None:
    assert (await run_events(["1", "[2]", "null"], map_(call="json:loads"))).events == [1, [2], None]


async def test_fields_are_set_in_a_copy() -> None:
    events: list[object] = [{"value": 3, "discount": 1}, {"value": 2, "discount": 2}]
    ran = await run_events(events, map_(set={"paid": "event.value - event.discount"}))
    assert ran.events == [{"value": 3, "discount": 1, "paid": 2}, {"value": 2, "discount": 2, "paid": 0}]
    assert events == [{"value": 3, "discount": 1}, {"value": 2, "discount": 2}]


async def test_an_event_without_the_field_fails_alone_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    events: list[object] = [{"n": 1}, {}, {"n": 3}, {"m": 1}, 5]
    ran = await run_events(events, map_(set={"next": "event.n + 1"}))
    assert ran.events == [{"n": 1, "next": 2}, {"n": 3, "next": 4}]
    assert ran.stages[1].errors == {"MissingFieldError": 2, "BadEvent": 1}
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 2
    assert "MissingFieldError: event has no field 'n' in 'event.n + 1'" in said[0]


async def test_behind_a_source_of_messages_each_event_is_acknowledged_by_what_became_of_it() -> None:
    told: dict[int, Outcome] = {}

    class Source(Producer[object]):
        emits_messages = True

        def handle_demand(self, demand: int) -> list[object]:
            self.complete()
            return [
                Message(n, acknowledgement=Acknowledgement(functools.partial(told.__setitem__, n))) for n in (1, 0, 2)
            ]

    ran = await run(Source(), map_(call=halve))
    assert ran.events == [12, 6]
    assert told == {1: Outcome.DONE, 0: Outcome.FAILED, 2: Outcome.DONE}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "a map needs `call:` or `set:`, and not both"),
        ({"call": "json:loads", "set": {"a": "1"}}, "a map needs `call:` or `set:`, and not both"),
        ({"set": {}}, "it must be a mapping of fields to expressions"),
        ({"set": "event.a"}, "it must be a mapping of fields to expressions"),
        ({"set": {"a": "event."}}, "event."),
        ({"call": "json:lods"}, "there is no 'lods' in module json"),
        ({"func": "json:loads"}, "Extra inputs"),
    ],
)
async def test_options_that_make_no_sense_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MapOptions.model_validate(options)
