"""Each event goes by the output that its stage says, in order; what says none fails alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import DispatcherError, UnknownOutput
from headrace.pipeline.dispatchers.partition import Output, OutputsDispatcher
from tests.fakes.hosts import Notes
from tests.fakes.shares import Share

NAMES = ("eu", "us")


def begun(max_queue: int = 1000) -> tuple[OutputsDispatcher[Share], Notes]:
    dispatcher: OutputsDispatcher[Share] = OutputsDispatcher(NAMES, max_queue)
    notes = Notes()
    dispatcher.begin(notes)
    return dispatcher, notes


def taker(dispatcher: OutputsDispatcher[Share], output: str, demand: int) -> Share:
    share = Share(partition=output)
    dispatcher.subscribed(share)
    dispatcher.asked(share, demand)
    return share


@given(st.lists(st.tuples(st.sampled_from([*NAMES, "mars", None]), st.integers())), st.integers(1, 9))
def test_each_output_gets_its_own_in_order_and_none_is_lost(emitted: list[tuple[str | None, int]], step: int) -> None:
    dispatcher, notes = begun()
    shares = {name: taker(dispatcher, name, 1) for name in NAMES}
    events: list[object] = [number if name is None else Output(name, number) for name, number in emitted]
    got: dict[object, list[object]] = {name: [] for name in NAMES}
    rest = events
    while rest or dispatcher.queued:
        deliveries, used = dispatcher.dispatch(rest[:step], 1.0)
        for share, portion, _ in deliveries:
            got[share.partition] += portion
        rest = rest[used:]
        for share in shares.values():
            dispatcher.asked(share, 1)
    for name in NAMES:
        assert got[name] == [event for event in events if isinstance(event, Output) and event.name == name]
    assert [event for event, _ in notes.failed] == [
        event for event in events if not isinstance(event, Output) or event.name == "mars"
    ]
    assert {type(error) for _, error in notes.failed} <= {UnknownOutput}


def test_an_output_that_is_slow_stops_the_stage_once_it_is_full() -> None:
    dispatcher, _ = begun(max_queue=3)
    taker(dispatcher, "eu", 1)
    taker(dispatcher, "us", 100)
    _, used = dispatcher.dispatch([Output("eu", number) for number in range(10)], 1.0)
    assert (used, dispatcher.queued, dispatcher.unmet()) == (4, 3, 0)


def test_an_output_that_nobody_takes_is_named_in_the_log() -> None:
    dispatcher, notes = begun()
    taker(dispatcher, "eu", 1)
    dispatcher.dispatch([Output("us", 1)], 1.0)
    (said,) = notes.said
    assert said.startswith("nobody subscribes to its output 'us': up to 1000 events wait there")
    assert said.endswith("let a consumer take it")


@pytest.mark.parametrize(
    ("found", "words"),
    [("mars", "for the output 'mars', which it does not have"), (None, "an event without an output")],
)
def test_the_error_says_what_to_emit(found: str | None, words: str) -> None:
    sentence = str(UnknownOutput(found, NAMES))
    assert words in sentence
    assert sentence.endswith("emit Output(name, event), with one of 'eu', 'us'")


def test_two_outputs_of_one_name_are_refused() -> None:
    with pytest.raises(DispatcherError, match="a name of its own"):
        OutputsDispatcher(("eu", "eu"))
