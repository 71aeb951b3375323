"""What variables hold, hidden behind how they are written."""

import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.text.variables import SHORTEST, Redactor


@given(st.text(), st.text("abc", min_size=SHORTEST), st.text())
def test_a_value_is_hidden_wherever_it_stands(before: str, value: str, after: str) -> None:
    masked = Redactor({value: "?"})(f"{before}{value}{after}")
    assert value not in masked


@pytest.mark.parametrize(
    "value",
    ["p@ss/w\u00f6rd", "p%40ss w%2Frd", 'it\'s "quoted"', "two\nlines", "blanks \n", "back\\slash", "\ud800-half"],
)
@pytest.mark.parametrize(
    "show",
    [
        repr,
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False),
        lambda value: repr(f'it\'s "{value}"'),
        lambda value: quote(value, errors="replace"),
        lambda value: quote_plus(value, errors="replace"),
        lambda value: quote(value, "", errors="replace"),
        unquote,
        str.strip,
    ],
    ids=["repr", "JSON", "JSON in Unicode", "repr of more", "URL", "form", "URL without /", "read from a URL", "cut"],
)
def test_a_value_is_hidden_however_a_sentence_spells_it(value: str, show: Callable[[str], str]) -> None:
    shown = show(value)
    masked = Redactor({value: "?"})(f"cannot open {shown}!")
    assert "?" in masked
    assert shown.strip("\"'") not in masked


def test_of_two_values_the_longer_one_is_hidden_whole() -> None:
    assert Redactor({"secret": "${A}", "secret-and-more": "${B}"})("secret-and-more") == "${B}"


def test_short_values_are_words_and_stay() -> None:
    assert Redactor({"eu": "${REGION}"})("neutral") == "neutral"
