"""From pydantic's `loc` to places."""

import pytest

from headrace.config.check.validation import label, locate, owner
from headrace.config.text.tree import LocatedNode, Path, PathStep
from tests.config.trees import good_tree

TEXT = "{a: {b: [{c: 1, counter: x, value: 2}, {c: 3}]}, s: {stage: y, max: 5}}"


@pytest.mark.parametrize(
    ("loc", "path"),
    [
        (("a", "b", 0, "c"), ("a", "b", 0, "c")),
        (("a", "b", 1), ("a", "b", 1)),
        (("a", "Model", "b", "list[X]", 1, "c"), ("a", "b", 1, "c")),
        (("s", 0, "max"), ("s", "max")),
        (("a", "b", 0, "counter", "value"), ("a", "b", 0, "value")),
        (("a", "b", 0, "counter", "counter"), ("a", "b", 0, "counter")),
        (("a", "b", 7, "c"), ("a", "b")),
        (("nothing",), ()),
        ((), ()),
    ],
)
def test_a_loc_leads_to_the_place_that_fits_best(loc: Path, path: Path) -> None:
    assert locate(LocatedNode(good_tree(TEXT)), loc).path == path


def test_the_steps_that_no_file_has_are_branches() -> None:
    located = locate(LocatedNode(good_tree(TEXT)), ("a", "Model", "b", 0, "Entry", "c"))
    assert located.branches == (((("a",)), "Model"), (("a", "b", 0), "Entry"))


@pytest.mark.parametrize(
    ("loc", "path"),
    [(("a", "x"), ("a",)), (("a", "b", 0, "counter", "x"), ("a", "b", 0)), (("s", 0, "x"), ("s",)), (("x",), ())],
)
def test_a_missing_key_is_missing_from_a_mapping(loc: Path, path: Path) -> None:
    assert owner(LocatedNode(good_tree(TEXT)), loc).path == path


def test_a_very_long_loc_is_not_followed_to_its_end() -> None:
    loc: list[PathStep] = ["a"] * 200
    assert locate(LocatedNode(good_tree(TEXT)), loc).path == ("a",)


def test_a_label_reads_like_a_path() -> None:
    assert label(("metrics", 0, "buckets", 1)) == "metrics[0].buckets[1]"
    assert label(()) == ""
