"""A function is applied to each event once, whatever it does with some of them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.functions import apply_to_events, await_events


class Odd:
    """A function that notes each call, and fails where its event says so."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def __call__(self, event: object) -> object:
        self.calls.append(event)
        assert isinstance(event, tuple)
        number, error = event
        if error is not None:
            raise error
        return number

    async def later(self, event: object) -> object:
        return self(event)


ERRORS = st.sampled_from([None, None, ValueError("v"), StopIteration(), KeyError("k")])
EVENTS = st.lists(ERRORS).map(lambda errors: list[object](enumerate(errors)))


def numbers(events: list[object], is_wanted: Callable[[object], bool]) -> list[object]:
    return [event[0] for event in events if isinstance(event, tuple) and is_wanted(event[1])]


@given(EVENTS)
def test_each_event_is_tried_once_and_only_those_that_raise_are_missing(events: list[object]) -> None:
    function, failed = Odd(), dict[int, BaseException]()
    assert apply_to_events(function, events, failed.__setitem__) == numbers(events, lambda error: error is None)
    assert function.calls == events
    assert list(failed) == numbers(events, lambda error: error is not None)


@pytest.mark.asyncio
@pytest.mark.parametrize("is_async", [False, True])
async def test_the_same_holds_where_outputs_are_awaited(*, is_async: bool) -> None:
    errors = [None, ValueError("v"), None, KeyError("k"), None]
    events = list[object](enumerate(errors))
    function, failed = Odd(), dict[int, BaseException]()
    outputs = await await_events(function.later if is_async else function, events, failed.__setitem__)
    assert outputs == [0, 2, 4]
    assert function.calls == events
    assert failed == {at: error for at, error in enumerate(errors) if error is not None}


def test_what_is_no_error_of_an_event_is_not_caught() -> None:
    with pytest.raises(KeyboardInterrupt):
        apply_to_events(Odd(), [(0, KeyboardInterrupt())], print)
