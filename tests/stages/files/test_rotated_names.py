"""Rotated files are told from others by their names, and sorted by their age."""

import pytest

from headrace.stages.files.rotated_files import RotatedNames


@pytest.mark.parametrize(
    "name",
    ["app.log.1", "app.log.12.gz", "app.log-20261124", "app.log.2026-11-24_10", "app.log.old", "app-2026-11-24.log"],
)
def test_a_rotated_name_is_known(name: str) -> None:
    assert RotatedNames("app.log").match(name)


@pytest.mark.parametrize(
    "name",
    ["app.log", "app.log.lock", "app.log.checkpoint", "app.log.pos", "app-errors.log", "app.1.log", "apples.log.1"],
)
def test_another_name_is_left_alone(name: str) -> None:
    assert not RotatedNames("app.log").match(name)


def test_files_that_changed_last_at_the_same_time_are_sorted_by_number_or_date() -> None:
    names = RotatedNames("app.log")
    for older, newer in [("app.log.10", "app.log.2"), ("app.log-20261122", "app.log-20261123")]:
        assert names.age(older, 5) < names.age(newer, 5)
    assert names.age("app.log.1", 4) < names.age("app.log.2", 5)
