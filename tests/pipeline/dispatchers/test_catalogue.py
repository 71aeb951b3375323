"""Dispatchers by name: what is installed is found, and what is not, or is broken, is told in one sentence."""

from pathlib import Path

import pytest

from headrace.errors import DispatcherError
from headrace.pipeline.dispatchers.entry_points import BUILT_IN, dispatcher_names, find_dispatcher

MODULE = """
from headrace.pipeline.dispatchers.round_robin import RoundRobinDispatcher

class Guest(RoundRobinDispatcher):
    pass

NOTHING = 3
"""
ENTRY_POINTS = """
[headrace.dispatchers]
a_guest = a_guest_of_dispatchers:Guest
a_number = a_guest_of_dispatchers:NOTHING
a_gap = a_guest_of_dispatchers_that_is_missing:Guest
"""


@pytest.fixture
def _guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution with three entry points, one of which is right."""
    (tmp_path / "a_guest_of_dispatchers.py").write_text(MODULE)
    info = tmp_path / "a_guest_of_dispatchers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-guest-of-dispatchers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("_guests")
def test_a_guest_is_found_by_its_entry_point() -> None:
    assert {"a_guest", *BUILT_IN} <= set(dispatcher_names())
    guest = find_dispatcher("a_guest")
    assert guest.__name__ == "Guest"


@pytest.mark.usefixtures("_guests")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a_gust", "the dispatcher 'a_gust' is not installed; did you mean 'a_guest'?"),
        ("a_number", "the dispatcher 'a_number' makes nothing: its entry point must name a class, or a function"),
        (
            "a_gap",
            (
                "the dispatcher 'a_gap' cannot be imported: "
                "ModuleNotFoundError: No module named 'a_guest_of_dispatchers_that_is_missing'"
            ),
        ),
    ],
)
def test_what_cannot_be_used_is_told(name: str, sentence: str) -> None:
    with pytest.raises(DispatcherError) as caught:
        find_dispatcher(name)
    assert str(caught.value) == sentence
