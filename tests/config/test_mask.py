"""What variables hold, hidden behind how they are written."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.config.mask import SHORTEST, Mask


@given(st.text(), st.text("abc", min_size=SHORTEST), st.text())
def test_a_value_is_hidden_wherever_it_stands(before: str, value: str, after: str) -> None:
    masked = Mask({value: "?"})(f"{before}{value}{after}")
    assert value not in masked


def test_of_two_values_the_longer_one_is_hidden_whole() -> None:
    assert Mask({"secret": "${A}", "secret-and-more": "${B}"})("secret-and-more") == "${B}"


def test_short_values_are_words_and_stay() -> None:
    assert Mask({"eu": "${REGION}"})("neutral") == "neutral"
