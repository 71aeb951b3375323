"""The public names of `headrace.dead_letters`."""

import subprocess
import sys

import pytest

import headrace.dead_letters


def test_every_public_name_can_be_imported() -> None:
    names = headrace.dead_letters.__all__
    assert names == sorted(names) == dir(headrace.dead_letters)
    assert [getattr(headrace.dead_letters, name).__name__ for name in names] == names


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"'Letter'; it has: DeadLetter,"):
        getattr(headrace.dead_letters, "Letter")  # noqa: B009 - a type checker would refuse the dot


def test_importing_the_package_loads_none_of_its_modules() -> None:
    code = "import sys, headrace.dead_letters; print([n for n in sys.modules if '.dead_letters.' in n])"
    shown = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"
