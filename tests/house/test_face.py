import subprocess
import sys

import pytest

import headrace


def test_the_face_is_sorted_and_every_name_of_it_can_be_had() -> None:
    names = headrace.__all__
    assert names == sorted(names)
    assert 15 <= len(names) <= 26
    assert {name: getattr(headrace, name).__name__ for name in names if name != "__version__"} == {
        name: name for name in names if name != "__version__"
    }


def test_the_face_says_what_it_has_when_asked_for_something_else() -> None:
    with pytest.raises(AttributeError, match=r"'Pipline'; it has: .*Pipeline"):
        getattr(headrace, "Pipline")  # noqa: B009 - a type checker would refuse the dot


def test_importing_the_face_loads_no_room() -> None:
    code = "import sys, headrace; print([name for name in sys.modules if name.startswith('headrace.')])"
    shown = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "['headrace.lazy']"
