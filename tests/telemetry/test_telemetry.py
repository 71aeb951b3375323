"""Telemetry: who is told, and what becomes of a handler that raises."""

import asyncio
from collections.abc import Callable

import pytest

from headrace.telemetry.events import EventName, Measurements, Metadata, Telemetry
from tests.fakes.processes import Abort, ManualClock, Oops, said

Told = list[tuple[EventName, Measurements, Metadata]]


def _listening(telemetry: Telemetry, *prefix: str, handler_id: str = "listener") -> Told:
    told: Told = []
    telemetry.attach(handler_id, prefix, lambda *event: told.append(event))
    return told


def _raising(error: BaseException) -> Callable[..., None]:
    def handle(*_: object) -> None:
        raise error

    return handle


def test_a_handler_is_told_of_every_event_whose_name_begins_with_its_prefix() -> None:
    telemetry = Telemetry()
    told = _listening(telemetry, "a", "b")
    for name in (("a", "b"), ("a", "b", "c"), ("a",), ("a", "c"), ("b", "a")):
        telemetry.execute(name, {"n": 1}, {"who": "me"})
    assert told == [(("a", "b"), {"n": 1}, {"who": "me"}), (("a", "b", "c"), {"n": 1}, {"who": "me"})]


def test_handlers_are_told_in_the_order_in_which_they_were_attached() -> None:
    telemetry = Telemetry()
    order: list[str] = []
    for name in "bac":
        telemetry.attach(name, (), lambda *_, name=name: order.append(name))
    telemetry.execute(("x",), {}, {})
    assert order == ["b", "a", "c"]


def test_a_handler_that_was_detached_is_told_nothing_more() -> None:
    telemetry = Telemetry()
    told = _listening(telemetry)
    telemetry.detach("listener")
    telemetry.detach("nobody")
    telemetry.execute(("x",), {}, {})
    assert told == []


def test_a_handler_id_used_again_replaces_the_handler() -> None:
    telemetry = Telemetry()
    before, after = _listening(telemetry), _listening(telemetry)
    telemetry.execute(("x",), {}, {})
    assert (len(before), len(after)) == (0, 1)


def test_a_handler_that_raises_is_detached_and_named_once_and_the_others_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    telemetry = Telemetry()
    telemetry.attach("broken", (), _raising(Oops("x")))
    told = _listening(telemetry)
    for _ in range(3):
        telemetry.execute(("x",), {}, {})
    assert len(told) == 3
    assert said(caplog) == ["telemetry handler 'broken' raised, and is detached: fix it, and attach it again"]


def test_a_handler_may_attach_and_detach_handlers() -> None:
    telemetry = Telemetry()
    told = _listening(telemetry, handler_id="b")
    telemetry.attach("a", (), lambda *_: telemetry.detach("a"))
    telemetry.attach("c", (), lambda *_: telemetry.attach("d", (), lambda *event: told.append(event)))
    telemetry.execute(("first",), {}, {})
    telemetry.detach("c")
    telemetry.execute(("second",), {}, {})
    assert [name for name, _, _ in told] == [("first",), ("second",), ("second",)]


def test_a_span_tells_how_long_a_block_took() -> None:
    telemetry, clock = Telemetry(), ManualClock()
    told = _listening(telemetry)
    with telemetry.span(("job",), {"worker": "w"}, clock):
        clock.advance(1.5)
    assert told == [(("job", "stop"), {"duration_seconds": 1.5}, {"worker": "w"})]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Oops("x"), "error"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (Abort(), "cancelled"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_span_tells_how_a_block_failed_and_lets_the_error_through(error: BaseException, outcome: str) -> None:
    telemetry, clock = Telemetry(), ManualClock()
    told = _listening(telemetry)

    def fail() -> None:
        with telemetry.span(("job",), {"worker": "w"}, clock):
            clock.advance(0.5)
            raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    assert told == [(("job", outcome), {"duration_seconds": 0.5}, {"worker": "w", "reason": error})]
