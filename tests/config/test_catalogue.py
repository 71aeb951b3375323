"""Stage types by name."""

import importlib

import pytest

from headrace.config.stage_types import BrokenType, StageTypes
from tests.fakes.config_stages import Tick, TickOptions, catalogue


def test_names_are_known_without_loading_anything() -> None:
    def explode() -> object:
        pytest.fail("a type was loaded that nobody asked for")

    assert StageTypes({"b": explode, "a": explode}).names == ("a", "b")


def test_a_type_is_its_class_and_its_options() -> None:
    found = catalogue().find("tick")
    assert (found.name, found.kind, found.options) == ("tick", "producer", TickOptions)
    assert isinstance(found.make(TickOptions()), Tick)


@pytest.mark.parametrize(
    ("name", "kind"), [("tick", "producer"), ("change", "producer_consumer"), ("tally", "consumer")]
)
def test_a_kind_goes_by_the_base_class(name: str, kind: str) -> None:
    assert catalogue().find(name).kind == kind


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("optionless", "no `Options`"),
        ("no_stage", "not a class made of"),
        ("broken", r"No module named 'driver' \(.*config_stages.py, line \d+\)"),
    ],
)
def test_a_type_that_a_guest_got_wrong_says_so(name: str, words: str) -> None:
    with pytest.raises(BrokenType, match=words):
        catalogue().find(name)


def test_a_module_that_is_missing_is_told_at_the_line_that_asks_for_it() -> None:
    def load() -> object:
        return importlib.import_module("no_module_of_that_name")

    with pytest.raises(BrokenType, match=r"No module named 'no_module_of_that_name' \(.*\.py, line \d+\)"):
        StageTypes({"guest": load}).find("guest")


def test_our_own_types_come_in_by_the_same_entry_points_as_guests() -> None:
    ours = {
        "read_lines",
        "generate",
        "map",
        "filter",
        "count_metrics",
        "write_lines",
        "show",
        "discard",
        "receive_statsd",
    }
    assert ours <= set(StageTypes.installed().names)
