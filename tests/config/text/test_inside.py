"""Places inside a scalar."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.text.findings import ConfigSource, Report
from headrace.config.text.tree import ScalarNode, point
from headrace.config.text.variables import VariableContext, interpolate
from tests.config.trees import READERS, good_tree

WORDS = st.lists(st.text(st.sampled_from("abc'\"\\é😀#:&*!%$+-("), min_size=1), min_size=1).map(" ".join)


def only_scalar(text: str, reader: str = "yaml") -> ScalarNode:
    node = good_tree(text, READERS[reader])
    assert isinstance(node, ScalarNode)
    return node


@given(text=WORDS, style=st.sampled_from(["'", '"', "|", ">", None]), width=st.sampled_from([10, 1000]))
def test_a_character_is_found_behind_quotes_escapes_and_folds(text: str, style: str | None, width: int) -> None:
    written = yaml.safe_dump(text, default_style=style, width=width, allow_unicode=True)
    node = only_scalar(written)
    for index, sign in enumerate(text):
        span = point(node, written, index)
        if span == node.span or sign.isspace() or "$$" in text:
            continue
        found = written[span.start : span.end]
        assert found == sign or (found == "\\" and style == '"') or (found == "'" == sign)


@pytest.mark.parametrize(
    ("written", "index", "column"),
    [
        ("event.a +", 8, 9),
        ("'it''s x'", 5, 8),
        ('"a\\tb\\x41\\u00e9z"', 5, 16),
        ('"\\"x\\" +"', 4, 8),
        ("!!str event.a", 0, 7),
        ("&x 'abc'", 2, 7),
        ("'abc'", 3, 5),
    ],
)
def test_a_column_of_the_value_becomes_a_column_of_the_line(written: str, index: int, column: int) -> None:
    assert point(only_scalar(written), written, index).start + 1 == column


def test_a_block_scalar_is_looked_into_line_by_line() -> None:
    written = "|-  # why\n  event.a\n  + (\n"
    node = only_scalar(written)
    at = point(node, written, node.text.index("(")).start
    assert ConfigSource("a", written).location(point(node, written, node.text.index("("))) == (3, 5)
    assert written[at] == "("


def test_a_pair_of_json_is_one_character() -> None:
    written = '"\\ud83d\\ude00x"'
    assert point(only_scalar(written, "json"), written, 1).start == 13


def test_an_escaped_dollar_is_one_character() -> None:
    written = "a$$b(c"
    node = interpolate(only_scalar(written), VariableContext({}, Path()), Report(ConfigSource("a", written)))
    assert isinstance(node, ScalarNode)
    assert node.text == "a$b(c"
    assert point(node, written, 3).start == 4


def test_nobody_looks_into_what_a_variable_gave() -> None:
    written = "ab${X}c"
    node = interpolate(
        only_scalar(written), VariableContext({"X": "12345"}, Path()), Report(ConfigSource("a", written))
    )
    assert isinstance(node, ScalarNode)
    assert point(node, written, 1) == node.span


def test_an_index_outside_is_the_whole_scalar() -> None:
    node = only_scalar("abc")
    assert point(node, "abc", 7) == node.span
    assert point(node, "abc", -1) == node.span
