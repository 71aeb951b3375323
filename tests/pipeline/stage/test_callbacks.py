"""A stage class needs the callback of its kind, and may not misspell one; its own methods have any name."""

from string import ascii_lowercase

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.errors import MisspeltCallback
from headrace.pipeline.stage.callbacks import near_callback
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.topology import Topology

CALLBACKS = (
    "handle_events",
    "handle_info",
    "handle_continue",
    "handle_timeout",
    "handle_subscribe",
    "handle_cancel",
    "handle_complete",
    "handle_drain",
    "handle_room",
)
WORDS = [callback.removeprefix("handle_") for callback in CALLBACKS]


class Numbers(Producer[int]):
    def handle_demand(self, demand: int) -> list[int]:
        return list(range(demand))


class Same(ProducerConsumer[int, int]):
    def handle_events(self, events: list[int]) -> list[int]:
        return events


class Drop(Consumer[int]):
    def handle_events(self, events: list[int]) -> None:
        pass


def add(kind: type, *names: str) -> None:
    Topology().add("stage", type("Stage", (kind,), {name: lambda self: None for name in names}))


@pytest.mark.parametrize(
    ("kind", "misspelt", "meant"),
    [
        (Drop, "handle_canel", "handle_cancel"),
        (Drop, "handle_event", None),  # it has handle_events
        (Same, "handle_demmand", "handle_demand"),
        (Same, "handle_eahc", None),  # too short to say
        (Same, "handle_completed", "handle_complete"),
        (Numbers, "handle_drains", "handle_drain"),
        (Numbers, "handle_subsribe", "handle_subscribe"),
        (Numbers, "handle_order", None),
        (Numbers, "handle_inform", None),
        (Numbers, "handle_", None),
        (Numbers, "handel_drain", None),
    ],
)
def test_a_misspelt_callback_is_refused_and_a_method_of_ones_own_is_not(
    kind: type, misspelt: str, meant: str | None
) -> None:
    if meant is None:
        add(kind, misspelt)
        return
    with pytest.raises(MisspeltCallback, match=f"Stage has a method {misspelt}, .* did you mean {meant}\\?"):
        add(kind, misspelt)


def test_a_method_like_a_callback_is_free_beside_that_callback() -> None:
    add(Drop, "handle_cancel", "handle_cancels")


def test_every_declared_callback_may_be_overridden() -> None:
    add(Drop, *CALLBACKS)


@given(word=st.sampled_from([word for word in WORDS if len(word) >= 6]), data=st.data())
def test_one_letter_too_few_or_too_many_is_a_misspelling(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(word) - 1))
    letter = data.draw(st.sampled_from(ascii_lowercase))
    for misspelt in (word[:at] + word[at + 1 :], word[:at] + letter + word[at:]):
        assert near_callback(f"handle_{misspelt}", CALLBACKS) == f"handle_{word}"


@given(word=st.text(ascii_lowercase, max_size=12))
def test_a_name_with_other_letters_is_free(word: str) -> None:
    """A misspelling shares four letters of five with the callback, and its first one."""
    assume(all(len(set(word) & set(meant)) < 0.7 * len(set(meant)) for meant in WORDS))
    assert near_callback(f"handle_{word}", CALLBACKS) is None
    add(Drop, f"handle_{word}")
